"""What is installed."""

import importlib.metadata
import re

import facematch
from places import PACKAGE

ROOT = PACKAGE.parents[1]


def version_in(path):
    return re.search(r'^version = "(.+)"$', path.read_text(), re.MULTILINE)[1]


def test_the_version_is_the_servers():
    assert facematch.__version__ == version_in(ROOT / "Cargo.toml")
    assert facematch.__version__ == version_in(PACKAGE / "pyproject.toml")
    assert facematch.__version__ == importlib.metadata.version("facematch")


def test_only_one_name_is_taken():
    files = importlib.metadata.files("facematch")
    assert {it.parts[0] for it in files if ".dist-info" not in it.parts[0]} == {"facematch"}


def test_types_are_installed():
    names = {str(it) for it in importlib.metadata.files("facematch")}
    assert "facematch/py.typed" in names
    assert "facematch/v1/face_match_pb2.pyi" in names
    assert "facematch/v1/face_match_pb2_grpc.pyi" in names
