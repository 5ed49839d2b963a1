"""The commands and settings for operators: the README, and operating, settings and callers in docs."""

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

CALLERS = documents.block("docs/callers.md", "[tenant.retail]")
SECURE = documents.block("docs/operating.md", "cd /etc/facematch")
SECURE_CALLS = documents.block("docs/operating.md", "facematch list")
RENEW = documents.block("docs/operating.md", "openssl req -x509 -CA ca.pem")

HEALTH = documents.block("docs/operating.md", "facematch serve --oz-url https://oz.example --oz-t")
PROBES = documents.block("docs/operating.md", "curl 'http://127.0.0.1:50052")

CHECK = documents.block("docs/operating.md", "facematch serve --check")

JOURNAL, BACKUPS = "/var/lib/facematch", "/var/backups/facematch"
PASSWORD, TOKEN = "/run/secrets/oz-password", "/run/secrets/oz-token"


@pytest.fixture
def folders(tmp_path):
    """The folders of the pages, made as their text says, a password and a token."""
    replaced = {JOURNAL: tmp_path / "lib", BACKUPS: tmp_path / "backups"}
    for folder in replaced.values():
        folder.mkdir(mode=0o700)
    (tmp_path / "oz-password").write_text("a password\n")
    (tmp_path / "oz-token").write_text("a-token\n")
    replaced |= {PASSWORD: tmp_path / "oz-password", TOKEN: tmp_path / "oz-token"}
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


def test_the_callers_file_is_accepted(terminal, folders, tmp_path):
    (tmp_path / "callers.toml").write_text(CALLERS)
    environment = {"FACEMATCH_LISTEN": "127.0.0.1:0"}
    environment["FACEMATCH_CALLERS_FILE"] = str(tmp_path / "callers.toml")
    shell = terminal(environment, folders)
    shell.type(FIRST_START)
    shell.wait_for("facematch is ready on 127.0.0.1:")


def test_the_admin_port_answers_the_page_s_probe(terminal, folders, tmp_path):
    replaced = folders | {":50052": f":{support.free_port()}"}
    environment = {"FACEMATCH_LISTEN": "127.0.0.1:0"}
    environment["FACEMATCH_STORE"] = f"sqlite:{tmp_path}/lib/journal.db"
    server = terminal(environment, replaced)
    server.type(HEALTH)
    server.wait_for("facematch is ready on 127.0.0.1:")
    assert terminal({}, replaced).run(PROBES).endswith("readyz check passed\n")


def test_the_page_s_check_says_what_a_start_would_do(terminal, folders):
    said = terminal({}, folders).run(CHECK)
    journal = f"{folders[JOURNAL]}/journal.db"
    assert f"would create the journal in sqlite:{journal}" in said
    assert not os.path.exists(journal)


def test_ten_commands_secure_the_service_and_its_pair_is_renewed(terminal, folders, tmp_path):
    port, place = support.free_port(), tmp_path / "etc"
    place.mkdir()
    # Callers reach this host by another name.
    replaced = folders | {
        "/etc/facematch": str(place),
        "facematch.internal": "localhost",
        ":50051": f":{port}",
    }
    server = terminal({}, replaced)
    server.type(SECURE)
    server.wait_for(f"facematch is ready on 0.0.0.0:{port}")
    token, key = (place / "kyc-token").read_text().strip(), (place / "kyc-key.pem").read_text()
    for secret in ("kyc-token", "kyc-key.pem", "server-key.pem", "ca-key.pem", "new-key"):
        assert (place / secret).stat().st_mode & 0o077 == 0, f"other users can read {secret}"

    caller = terminal({}, replaced)
    caller.run(f"cd {place}")
    assert caller.run(SECURE_CALLS).endswith("{}\n"), "there is no match yet"
    certificate = f"openssl s_client -connect localhost:{port} -CAfile ca.pem </dev/null 2>/dev/null"
    before = caller.run(f"{certificate} | openssl x509 -noout -serial", fails=True)
    caller.run(RENEW)
    server.wait_for("TLS files changed")
    after = caller.run(f"{certificate} | openssl x509 -noout -serial", fails=True)
    assert before.startswith("serial=") and after.startswith("serial=") and before != after
    caller.run(SECURE_CALLS)

    for text, wrong in (
        (SECURE_CALLS.replace("kyc-token", "other-token"), "CREDENTIAL_INVALID"),
        (SECURE_CALLS.replace("--cert-file kyc.pem --key-file kyc-key.pem", ""), "ertificate"),
    ):
        caller.run(f"echo {token[:-4]}0000 >other-token")
        assert wrong in caller.run(text, fails=True)
    said = server.said()
    assert token not in said and key.splitlines()[1] not in said


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
