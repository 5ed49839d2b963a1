"""The commands and settings for operators: the README, docs/operating.md and docs/settings.md."""

import os
import sqlite3

import documents
import pytest
import support
from support import Server

RUN = documents.block("README.md", "cargo build --release")
FIRST_START = documents.block("docs/operating.md", "cargo build --release")
SETTINGS = documents.block("docs/settings.md", "oz-url = ")
BACKUP = documents.block("docs/operating.md", "sqlite3 ")

JOURNAL, BACKUPS = "/var/lib/facematch", "/var/backups/facematch"
PASSWORD = "/run/secrets/oz-password"


@pytest.fixture
def folders(tmp_path):
    """The folders of the pages, made as their text says, and a password."""
    replaced = {JOURNAL: tmp_path / "lib", BACKUPS: tmp_path / "backups"}
    for folder in replaced.values():
        folder.mkdir(mode=0o700)
    (tmp_path / "oz-password").write_text("a password\n")
    replaced[PASSWORD] = tmp_path / "oz-password"
    return {printed: str(real) for printed, real in replaced.items()}


@pytest.mark.parametrize("commands", [RUN, FIRST_START], ids=["README", "operating"])
def test_the_first_start_is_ready(terminal, folders, commands):
    shell = terminal({"FACEMATCH_LISTEN": "127.0.0.1:0"}, folders)
    shell.type(commands)
    shell.wait_for("facematch is ready on 127.0.0.1:")
    assert os.path.exists(f"{folders[JOURNAL]}/journal.db")


def test_the_settings_file_is_accepted(terminal, folders, tmp_path):
    text = SETTINGS
    for printed, real in folders.items():
        text = text.replace(printed, real)
    (tmp_path / "facematch.toml").write_text(text)
    shell = terminal({"FACEMATCH_LISTEN": "127.0.0.1:0"}, folders)
    shell.type(f"facematch serve --config {tmp_path}/facematch.toml")
    shell.wait_for("facematch is ready on 127.0.0.1:")


def test_a_backup_of_a_running_service_is_restored_by_the_page_s_steps(
    terminal, folders, simulator, stubs, folder_id, portrait, request_id, tmp_path
):
    pb, folder = stubs.pb, tmp_path / "service"
    folder.mkdir()
    journal, backup = folder / "facematch.db", tmp_path / "backups" / "journal.db"
    request = pb.MatchRequest(
        request_id=request_id, folder_id=folder_id, photo=pb.ReferencePhoto(content=portrait)
    )
    server = Server(os.environ["FACEMATCH_BIN"], simulator, folder)
    try:
        with server.channel() as channel:
            stub = stubs.rpc.FaceMatchStub(channel)
            *_, last = stub.RunMatch(request, timeout=support.CALL_SECONDS)
        shell = terminal({}, {f"{JOURNAL}/journal.db": str(journal)} | folders)
        shell.run(BACKUP)
    finally:
        server.stop()
    assert sqlite3.connect(backup).execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    # The page's steps, for the name that the tests' server gives its journal.
    for name in ("", "-wal", "-shm"):
        (folder / f"facematch.db{name}").unlink(missing_ok=True)
    backup.rename(journal)
    server = Server(os.environ["FACEMATCH_BIN"], simulator, folder)
    try:
        with server.channel() as channel:
            stub = stubs.rpc.FaceMatchStub(channel)
            found = stub.GetMatch(
                pb.GetMatchRequest(request_id=request_id), timeout=support.CALL_SECONDS
            )
        assert found == last.match
    finally:
        server.stop()
