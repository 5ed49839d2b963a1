"""The session of docs/grpcurl.md and the README's call, run against a demo.

Values that differ each time (ids, times, tokens, addresses) are made equal on both sides;
everything else must be as printed.
"""

import os
import re
import subprocess
import time

import pytest
from support import CALL_SECONDS, ROOT, SAMPLE, Program

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
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
    text = (ROOT / "docs" / "grpcurl.md").read_text()
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        before, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
        if before:
            # More output of the previous command.
            found[-1][1].append(before)
        for command in commands:
            lines = command.splitlines(keepends=True)
            last = next(i for i, line in enumerate(lines) if not line.endswith("\\\n"))
            shown = "".join(lines[last + 1 :])
            found.append(("".join(lines[: last + 1]), [shown] if shown.strip() else []))
    return found


def plain(text):
    """A text without the values that differ each time."""
    text = re.sub(UUID, "UUID", text)
    text = re.sub(TIME, "TIME", text)
    text = re.sub(r'("resumeToken": ")[^"]*', r"\1TOKEN", text)
    text = re.sub(r'("polls": ")\d+', r"\1N", text)
    return text.strip()


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
        for part in shown:
            assert plain(part) in said, f"{command}\n{said}"
            checked += 1
    assert checked >= 10, "the page has more than that"


def test_the_call_of_the_readme_runs_as_it_stands(shell):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (call,) = [block for block in blocks if "grpcurl" in block]
    assert '"resolution": "RESOLUTION_SUCCESS"' in shell(call)


def test_the_variables_of_the_page_are_those_of_the_demo(demo):
    text = (ROOT / "docs" / "grpcurl.md").read_text()
    folder, photo = re.search(r"```sh\nFOLDER=(\S+)\nPHOTO=(\S+)\n```", text).groups()
    assert re.fullmatch(UUID, folder) and (ROOT / photo).is_file()
