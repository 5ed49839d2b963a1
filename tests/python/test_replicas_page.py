"""The session of docs/replicas.md, run as printed over a real PostgreSQL."""

import json
import re
import socket
import time
import urllib.request

import documents
import pytest
from documents import UUID
from postgres import USER, Cluster
from support import READY_SECONDS, free_port
from terminal import LOOK_SECONDS

PAGE = "docs/replicas.md"

START = documents.block(PAGE, "createdb facematch")
FOLDER = documents.block(PAGE, "PHOTO=")
MATCH = documents.block(PAGE, "facematch match")
WATCH = documents.block(PAGE, "facematch watch")
KILL = documents.block(PAGE, "kill -9 ")
LIST = documents.block(PAGE, "facematch list")
STOP = documents.block(PAGE, "kill $(jobs -p)")


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.stop()


def test_the_session_survives_the_death_of_the_replica_that_drives(cluster, terminal):
    ports = {port: str(free_port()) for port in ("8080", "50051", "50052", "50053")}
    replaced = ports | {"127.0.0.1/facematch": f"127.0.0.1:{cluster.port}/facematch"}
    environment = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGUSER": USER,
        "USER": USER,
    }
    first, second = terminal(environment, replaced), terminal(environment, replaced)
    first.run(START)
    first.wait_for("the Oz simulator is ready")
    first.wait_for("facematch is ready", count=3)
    first.run(FOLDER)
    first.run(MATCH)
    (accepted,) = first.wait_for(rf"ACCEPTED +match ({UUID})")
    first.wait_for("PROCESSING  analysis")

    second.type(WATCH)
    second.wait_for("PROCESSING  analysis")
    first.run(KILL)
    wait_until_closed(ports["50051"])
    # The minute of the analysis passes by the simulator's clock. The first replica is dead, so only
    # another one can read the verdict.
    skip(ports["8080"], 60_000)
    assert second.end() == []
    said = second.said()
    assert re.search(r"FINISHED +SUCCESS, similarity 1", said), said

    listed = second.run(LIST)
    assert accepted.group(1) in listed and "FINISHED" in listed

    first.run(STOP)


def wait_until_closed(port):
    """The kernel closes the port of a killed process some time after the signal."""
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"{port} still takes connections: the first replica lives")


def skip(port, milliseconds):
    body = json.dumps({"skip_ms": milliseconds}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/sim/clock", body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        assert answer.status == 200
