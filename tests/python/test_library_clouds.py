"""Matches by key, over photos in emulators of Google Cloud Storage and of Azure Blob Storage.

tests/stores runs these: without emulators in the environment, there is no test here.
"""

import os
import subprocess

import canary
import pytest
from clouds import BUCKET, STORES, Azurite
from support import CALL_SECONDS, READY_SECONDS, Server

PREFIX = "bank-a"
KEYS = ["17.jpg", "2024/o'neil %2e+é.jpg", "a b/&?#=;.jpg"]


@pytest.fixture
def start(simulator, search, stubs, tmp_path, monkeypatch):
    """Starts a service over a store, and returns its client."""
    running = []

    def start(store, **changed):
        for name, value in (store.variables() | changed).items():
            monkeypatch.setenv(name, value)
        settings = ["--library", f"{store.scheme}://{BUCKET}/{PREFIX}"]
        server = Server(os.environ["FACEMATCH_BIN"], simulator, tmp_path, settings=settings)
        channel = server.channel()
        running.append((server, channel))
        return canary.Answers(stubs.rpc.FaceMatchStub(channel), search)

    yield start
    for server, channel in running:
        channel.close()
        server.stop()
        canary.Written(server, search).check()


@pytest.fixture
def run(pb, folder_id):
    """Runs a match by key, and returns the match at its end."""

    def run(client, key):
        photo = pb.ReferencePhoto(reference_key=key)
        request = pb.MatchRequest(folder_id=folder_id, photo=photo)
        return list(client.RunMatch(request, timeout=CALL_SECONDS))[-1].match

    return run


def check_matches(pb, store, start, run, portrait, stranger):
    for key in KEYS:
        store.put(f"{PREFIX}/{key}", portrait)
        store.put(f"bank-b/{key}", stranger)
    store.put(f"{PREFIX}/text.jpg", b"no picture")
    client = start(store)

    for key in KEYS:
        match = run(client, key)
        assert match.state == pb.MATCH_STATE_FINISHED, (key, match)
        assert match.result.resolution == pb.RESOLUTION_SUCCESS
    for key, reason in (
        ("none.jpg", "REFERENCE_NOT_FOUND"),
        ("%2e%2e/bank-b/17.jpg", "REFERENCE_NOT_FOUND"),
        ("text.jpg", "REFERENCE_UNREADABLE"),
    ):
        assert run(client, key).error.reason == reason, key


def case(emulator):
    def matches(pb, start, run, portrait, stranger, tmp_path_factory):
        store = emulator(tmp_path_factory.mktemp("store"))
        try:
            check_matches(pb, store, start, run, portrait, stranger)
        finally:
            store.stop()

    return matches


# Tests by parameters would be skipped, and so fail, where there is no emulator.
for emulator in STORES:
    globals()[f"test_photos_of_{emulator.__name__.lower()}_are_matched"] = case(emulator)


if Azurite in STORES:

    def test_a_refused_account_and_a_missing_container_have_their_reasons(
        simulator, start, run, tmp_path, tmp_path_factory
    ):
        store = Azurite(tmp_path_factory.mktemp("store"))
        try:
            client = start(store, AZURE_STORAGE_ACCOUNT_KEY="YW5vdGhlcg==")
            assert run(client, "17.jpg").error.reason == "LIBRARY_FORBIDDEN"
            refused = subprocess.run(
                [
                    *(os.environ["FACEMATCH_BIN"], "serve", "--listen", "127.0.0.1:0"),
                    *("--store", f"sqlite:{tmp_path}/another.db", "--library", "azure://nothing"),
                    *("--oz-url", simulator.url, "--oz-login", simulator.login),
                ],
                env=os.environ | store.variables(FACEMATCH_OZ_PASSWORD=simulator.password),
                capture_output=True,
                text=True,
                timeout=READY_SECONDS,
            )
            assert refused.returncode != 0
            assert "there is no such bucket: it answered 404 (ContainerNotFound)" in refused.stderr
        finally:
            store.stop()
