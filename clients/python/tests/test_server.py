"""The library with a real server: threads, forks, loops, programs that end."""

import asyncio
import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from facematch import AsyncClient, CallCancelledError, CredentialMissingError, pb
from facematch.testing import Server
from places import PACKAGE

PROCESSES = PACKAGE / "tests/processes"
SECONDS = 60
ROOMY = {"verdict": {"resolution": "SUCCESS", "min_confidence": 0.9, "processing_ms": 600_000}}


def until(condition):
    """Waits until something has happened."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen"
        time.sleep(0.01)


def metric(server, pattern):
    """The value of one of the server's metrics."""
    with urllib.request.urlopen(f"{server.admin}/metrics") as answer:
        found = re.search(rf"^{pattern} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture
def own_server():
    with Server() as server:
        yield server


@pytest.fixture
def photo_file(facematch, tmp_path):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(facematch.photo)
    return path


def test_the_fixture_has_a_client_a_folder_and_a_photo(facematch):
    verdict = facematch.client.match(facematch.folder_id, facematch.photo)
    assert verdict.same_person
    uploads = facematch.oz.record(folder=facematch.folder_id, endpoint="add_media")
    assert len(uploads) == 1


def test_the_simulated_oz_does_as_it_is_told(facematch):
    stranger = facematch.oz.folder(person="stranger")
    assert not facematch.client.match(stranger, facematch.photo).same_person
    assert not facematch.client.match(facematch.folder_id, facematch.oz.stranger()).same_person
    facematch.oz.rule({"endpoint": "add_media", "nth": 1}, {"status": 503}, folder=stranger)
    events = [it.WhichOneof("event") for it in facematch.client.run(stranger, facematch.photo)]
    assert events[1] == "attempt_failed"


def test_a_long_analysis_ends_when_its_time_is_skipped():
    with Server() as server, server.client() as client:
        stream = client.run(server.oz.folder(**ROOMY), server.oz.portrait())
        while next(stream).WhichOneof("event") != "analysis_started":
            pass
        server.oz.skip(600)
        assert stream.verdict().same_person


def test_a_server_may_ask_for_a_token():
    with Server(callers=True, settings={"heartbeat": "1s"}) as server:
        assert server.token
        with server.client() as client:
            assert list(client.list()) == []
        with server.client(token=None) as client, pytest.raises(CredentialMissingError):
            list(client.list())


def test_threads_share_a_client(facematch):
    def run(_):
        return facematch.client.match(facematch.oz.folder(), facematch.photo).same_person

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(24)))


def test_many_matches_at_once_in_a_loop(facematch):
    async def run():
        async with AsyncClient(facematch.server.target) as client:
            matches = [client.match(facematch.oz.folder(), facematch.photo) for _ in range(24)]
            return await asyncio.gather(*matches)

    assert all(verdict.same_person for verdict in asyncio.run(run()))


def test_a_stream_that_is_left_is_ended_at_the_server(own_server):
    client = own_server.client()
    folder, photo = own_server.oz.folder(**ROOMY), own_server.oz.portrait()
    for _ in client.run(folder, photo):
        break
    gc.collect()
    watchers = r'facematch_watchers\{kind="match"\}'
    until(lambda: metric(own_server, watchers) == 0)
    client.close()


def test_a_client_that_is_dropped_closes_its_connection(own_server):
    client = own_server.client()
    list(client.list())
    connections = "facematch_connections"
    until(lambda: metric(own_server, connections) == 1)
    del client
    gc.collect()
    until(lambda: metric(own_server, connections) == 0)


def test_a_stream_is_cancelled_from_another_thread(facematch):
    stream = facematch.client.run(facematch.oz.folder(**ROOMY), facematch.photo)
    reached = threading.Event()

    def cancel():
        reached.wait(SECONDS)
        stream.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    while next(stream).match.state != pb.MATCH_STATE_PROCESSING:
        pass
    reached.set()
    with pytest.raises(CallCancelledError) as raised:
        next(stream)
    thread.join()
    assert raised.value.match_continues
    match = facematch.client.cancel(raised.value.match_id)
    assert match.state == pb.MATCH_STATE_CANCELLED


def start(name, *arguments):
    environment = {it: text for it, text in os.environ.items() if it != "GRPC_ENABLE_FORK_SUPPORT"}
    # Python warns of forks in processes with threads, which gRPC has.
    environment |= {"PYTHONWARNINGS": "ignore::DeprecationWarning", "GRPC_VERBOSITY": "NONE"}
    return subprocess.Popen(
        [sys.executable, PROCESSES / name, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    try:
        out, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        pytest.fail(f"the program didn't end: {out} {errors}")
    assert (process.returncode, errors) == (0, ""), f"{out} {errors}"
    return out


@pytest.mark.parametrize("name", ["fork_unused.py", "fork_used.py", "loops.py"])
def test_processes_and_loops_get_connections_of_their_own(facematch, photo_file, name):
    finish(start(name, facematch.server.target, facematch.folder_id, photo_file))


def test_loops_at_once_get_connections_of_their_own(facematch, photo_file):
    process = start("loops_at_once.py", facematch.server.target, facematch.folder_id, photo_file)
    # gRPC itself complains here of loops that have ended.
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_a_program_that_closes_nothing_ends_in_silence(facematch, photo_file):
    folder = facematch.oz.folder(**ROOMY)
    assert finish(start("no_close.py", facematch.server.target, folder, photo_file)) == "done\n"


def test_ctrl_c_ends_a_waiting_program(facematch, photo_file):
    folder = facematch.oz.folder(**ROOMY)
    process = start("interrupted.py", facematch.server.target, folder, photo_file)
    while "analysis_started" not in process.stdout.readline():
        assert process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    assert "interrupted" in finish(process)
