"""The commands of docs/testserver.md, run as printed in one shell."""

import json

import documents

PAGE = "docs/testserver.md"

START = documents.block(PAGE, "coproc SERVER")
END = documents.block(PAGE, "exec {SERVER[1]}")
MATCH = documents.block(PAGE, "SIMULATOR=")


def test_a_match_runs_as_the_page_shows_it(terminal):
    shell = terminal()
    ready = json.loads(shell.run(START))
    assert ready["grpc"].startswith("127.0.0.1:") and ready["token"] is None
    said = shell.run(MATCH)
    assert "FINISHED    SUCCESS" in said, said
    shell.run(END)


def test_the_page_shows_every_key_of_the_line(terminal):
    ready = json.loads(terminal().run(START))
    page = (documents.ROOT / PAGE).read_text()
    shown = next(line for line in page.splitlines() if line.startswith('{"admin"'))
    assert json.loads(shown).keys() == ready.keys()
    for key in ready:
        assert f"| `{key}` |" in page
