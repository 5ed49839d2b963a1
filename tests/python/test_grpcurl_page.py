"""The session of docs/grpcurl.md and the calls of the README and of docs/library.md, run against a demo.

Values that differ each time (ids, times, tokens, addresses) are made equal on both sides;
everything else must be as printed.
"""

import os
import re
import subprocess
import time

import documents
import pytest
from documents import UUID, plain
from support import CALL_SECONDS, ROOT, SAMPLE, Program

VARIABLES = documents.block("docs/grpcurl.md", "FOLDER=")
SESSION = documents.blocks("docs/grpcurl.md", "console")
README_CALL = documents.block("README.md", "printf ")
LIBRARY_CALL = documents.block("docs/library.md", "grpcurl ")

SERVER, OZ = "127.0.0.1:50051", r"127\.0\.0\.1:36157"


@pytest.fixture
def demo(tmp_path):
    arguments = [os.environ["FACEMATCH_BIN"], "demo", "--listen", "127.0.0.1:0"]
    ready = r"listens on (\S+:\d+), the Oz simulator on (\S+:\d+)\."
    demo = Program(arguments, ready, tmp_path / "demo.log")
    demo.address, demo.oz = demo.ready.groups()
    demo.folder = demo._wait_for(re.compile(rf"The sample folder is ({UUID})")).group(1)
    yield demo
    demo.stop()


def samples():
    """Each command of the page, with the parts of its output that the page shows."""
    found = []
    for block in SESSION:
        if not block.startswith("$ "):
            # More output of the previous command.
            more, _, block = block.partition("\n$ ")
            found[-1][1].append(more)
            block = "$ " + block if block else ""
        for command, shown in documents.session(block):
            found.append((command, [shown] if shown.strip() else []))
    return found


@pytest.fixture
def shell(demo, grpcurl, tmp_path):
    """Runs a command as a reader would, with the demo's own addresses."""
    environment = os.environ | {
        "FOLDER": demo.folder,
        "PHOTO": str(SAMPLE / "portrait.jpg"),
        "PATH": f"{os.path.dirname(grpcurl.program)}:{os.environ['PATH']}",
    }

    def run(command):
        command = re.sub(OZ, demo.oz, command.replace(SERVER, demo.address))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
        )
        return done.stdout + done.stderr

    return run


def test_the_session_runs_as_the_page_shows_it(shell):
    def until_it_is_processing():
        """Waits as a reader would, who needs some seconds to type the next line."""
        get = """grpcurl -plaintext -d '{"request_id":"order-18"}' %s facematch.v1.FaceMatch/GetMatch"""
        ends = time.monotonic() + CALL_SECONDS
        while "MATCH_STATE_PROCESSING" not in shell(get % SERVER):
            assert time.monotonic() < ends, "the match makes no progress"

    checked = 0
    for command, shown in samples():
        if "CancelMatch" in command:
            until_it_is_processing()
        said = plain(shell(command))
        if "CreateMatch" in command and "MATCH_STATE_PROCESSING" in said:
            # On a busy machine the analysis starts before the answer is written.
            assert '"photoMediaId": "UUID"' in said, said
            checked += len(shown)
            continue
        for part in shown:
            assert plain(part) in said, f"{command}\n{said}"
            checked += 1
    assert checked >= 10, "the page has more than that"


def test_the_call_of_the_readme_runs_as_it_stands(shell):
    assert '"resolution": "RESOLUTION_SUCCESS"' in shell(README_CALL)


def test_the_call_by_a_key_runs_as_it_stands(shell):
    assert '"resolution": "RESOLUTION_SUCCESS"' in shell(LIBRARY_CALL)


def test_the_variables_of_the_page_are_those_of_the_demo(demo):
    folder, photo = re.fullmatch(r"FOLDER=(\S+)\nPHOTO=(\S+)\n", VARIABLES).groups()
    assert re.fullmatch(UUID, folder) and (ROOT / photo).is_file()
