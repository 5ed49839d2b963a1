"""The commands of docs/web.md, run as printed in one shell."""

import json

import documents

PAGE = "docs/web.md"

START, MATCH, REFUSED, EVENTS = documents.blocks(PAGE, "sh")
ERROR = documents.block(PAGE, "{")
SHOWN = documents.block(PAGE, "event: finished")


def test_the_calls_of_the_page_run_as_printed(terminal):
    shell = terminal()
    shell.run(START)
    said = shell.run(MATCH)
    assert "RESOLUTION_SUCCESS" in said, said
    # The simulator's refusal is the point of the command, so its status is no failure.
    said = shell.run(REFUSED.replace("curl -s", "curl -s --no-fail-with-body"))
    assert json.loads(said) == json.loads(ERROR), said


def test_the_events_of_the_page_are_as_printed(terminal):
    shell = terminal()
    shell.run(START)
    shell.run(MATCH)
    said = shell.run(EVENTS)
    kinds = [line for line in said.splitlines() if line.startswith("event: ")]
    assert kinds == [
        f"event: {kind}"
        for kind in (
            "accepted",
            "photo_uploaded",
            "analysis_started",
            "finished",
            "end",
            "finished",
            "end",
        )
    ], said
    shown = [line.split(":")[0] for line in SHOWN.splitlines() if line]
    assert [line.split(":")[0] for line in said.splitlines() if line][-len(shown) :] == shown
