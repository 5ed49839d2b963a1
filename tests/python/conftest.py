"""The fixtures: one simulator and one server for all tests, a folder of its own for each.

Nothing else is shared, so the tests run in any order.
"""

import os
import uuid
from types import SimpleNamespace

import pytest
import support


def pytest_configure():
    for name in ("FACEMATCH_BIN", "GRPCURL"):
        if not os.access(os.environ.get(name, ""), os.X_OK):
            raise pytest.UsageError(f"{name} must name a program; run tests/run, which sets it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test that didn't run has failed."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing here may be"
    return report


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    return support.compile_stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="session")
def pb(stubs):
    return stubs.pb


@pytest.fixture(scope="session")
def simulator(tmp_path_factory):
    log = tmp_path_factory.mktemp("simulator") / "sim.log"
    simulator = support.Simulator(os.environ["FACEMATCH_BIN"], log)
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def server(simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    server = support.Server(os.environ["FACEMATCH_BIN"], simulator, folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def client(server, stubs):
    with server.channel() as channel:
        yield stubs.rpc.FaceMatchStub(channel)


@pytest.fixture(scope="session")
def portrait():
    return (support.SAMPLE / "portrait.jpg").read_bytes()


@pytest.fixture(scope="session")
def stranger():
    return (support.SAMPLE / "stranger.jpg").read_bytes()


@pytest.fixture
def folder_id(simulator, portrait):
    """A folder in which the person of the portrait proved to be alive."""
    return simulator.post_folder(portrait)


@pytest.fixture
def request_id():
    return f"python-{uuid.uuid4()}"


@pytest.fixture(scope="session")
def grpcurl(server):
    return SimpleNamespace(program=os.environ["GRPCURL"], address=server.address)
