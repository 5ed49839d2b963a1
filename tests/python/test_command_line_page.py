"""The session of docs/command-line.md, run as printed."""

import documents
from documents import plain
from support import SAMPLE

SESSION = documents.block("docs/command-line.md", "$ facematch match")


def test_a_stranger_is_declined_as_the_page_shows_it(terminal, server, folder_id, tmp_path):
    session = documents.session(SESSION)
    typed = "".join(command for command, _ in session)
    shown = "".join(output for _, output in session)
    environment = {"FACEMATCH_SERVER": f"http://{server.address}", "FOLDER": folder_id}
    stranger = str(SAMPLE / "stranger.jpg")
    shell = terminal(environment, {"stranger.jpg": stranger})
    # A verdict against the person is an exit code, which the session shows.
    assert plain(shell.run(typed, fails=True)) == plain(shown)
