"""What the tests share. The fixtures of servers are those of the package's own plugin."""

import json

import pytest

from places import PACKAGE


@pytest.fixture(scope="session")
def reasons():
    """The service's reasons, from the list that all libraries are generated from."""
    return json.loads((PACKAGE.parent / "reasons.json").read_text())["reasons"]
