"""Matches by key, over photos in the buckets of a real S3 server."""

import os
import subprocess

import canary
import pytest
from s3 import S3, SERVERS
from support import CALL_SECONDS, READY_SECONDS, Server

PREFIX = "bank-a"
# As they are in the bucket, whatever a URL would make of them.
KEYS = ["17.jpg", "2024/o'neil %2e+é.jpg", "a b/&?#=;.jpg"]


@pytest.fixture(scope="module", params=SERVERS)
def s3(request, simulator, tmp_path_factory):
    s3 = S3(request.param, tmp_path_factory.mktemp(request.param), simulator.password)
    for bucket, versioned in (("plain", False), ("versioned", True)):
        s3.make_bucket(bucket, versioned)
    yield s3
    s3.stop()


@pytest.fixture
def serve(simulator, s3, search, stubs, tmp_path, monkeypatch):
    """Starts a service whose library is a bucket, and returns its client."""
    running = []

    def start(bucket, **changed):
        for name, value in s3.variables(**changed).items():
            monkeypatch.setenv(name, value)
        settings = ["--library", f"s3://{bucket}/{PREFIX}"]
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


@pytest.mark.parametrize("bucket", ["plain", "versioned"])
@pytest.mark.parametrize("key", KEYS)
def test_the_newest_photo_of_a_key_is_matched(
    pb, s3, serve, run, bucket, key, portrait, stranger
):
    s3.put(bucket, f"{PREFIX}/{key}", stranger)
    s3.put(bucket, f"{PREFIX}/{key}", portrait)
    # The same key of another tenant.
    s3.put(bucket, f"bank-b/{key}", stranger)
    client = serve(bucket)

    match = run(client, key)

    assert match.state == pb.MATCH_STATE_FINISHED, match
    assert match.result.resolution == pb.RESOLUTION_SUCCESS
    s3.delete(bucket, f"{PREFIX}/{key}")
    assert run(client, key).error.reason == "REFERENCE_NOT_FOUND"


@pytest.mark.parametrize("bucket", ["plain", "versioned"])
def test_what_is_no_photo_of_the_bucket_has_its_reason(s3, serve, run, bucket):
    s3.put(bucket, f"{PREFIX}/text.jpg", b"no picture")
    s3.put(bucket, f"{PREFIX}/large.jpg", bytes(10 * 1024 * 1024 + 1))
    client = serve(bucket)

    for key, reason in (
        ("none.jpg", "REFERENCE_NOT_FOUND"),
        ("%2e%2e/bank-b/17.jpg", "REFERENCE_NOT_FOUND"),
        ("text.jpg", "REFERENCE_UNREADABLE"),
        ("large.jpg", "REFERENCE_TOO_LARGE"),
    ):
        assert run(client, key).error.reason == reason, key


def test_the_start_finds_that_there_is_no_such_bucket(s3, simulator, tmp_path):
    settings = ["--store", f"sqlite:{tmp_path}/facematch.db", "--library", "s3://nothing/bank-a"]
    oz = ["--oz-url", simulator.url, "--oz-login", simulator.login]
    refused = subprocess.run(
        [os.environ["FACEMATCH_BIN"], "serve", "--listen", "127.0.0.1:0", *settings, *oz],
        env=os.environ | s3.variables(FACEMATCH_OZ_PASSWORD=simulator.password),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
    )
    assert refused.returncode != 0
    assert "there is no such bucket: it answered 404 (NoSuchBucket)" in refused.stderr
    assert simulator.password not in refused.stderr


def test_a_refused_account_is_told_to_the_operator_only(pb, s3, serve, run, portrait):
    s3.put("plain", f"{PREFIX}/17.jpg", portrait)
    with s3.refusing() as changed:
        client = serve("plain", **changed)
        error = run(client, "17.jpg").error

    assert error.reason == "LIBRARY_FORBIDDEN"
    assert "403" not in error.message and not error.metadata
