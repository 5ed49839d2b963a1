"""The fixtures: one simulator and one server for all tests, and a folder for each test.

Nothing else is shared, so the tests run in any order. After each test, everything that the server
has written is searched for canaries.
"""

import os
import uuid
from types import SimpleNamespace

# The processes that tests start make no calls. gRPC's handlers of a fork abort such a child now and
# then while other threads call. gRPC reads this once it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import canary
import pytest
import support
from terminal import Checkout, Terminal


# The programs that the tests drive or are driven by, as tests/run makes them.
PROGRAMS = (
    "FACEMATCH_BIN",
    "GRPCURL",
    "FACEMATCH_NGINX",
    "FACEMATCH_GO_CALLER",
    "FACEMATCH_PROMETHEUS",
    "FACEMATCH_PROMTOOL",
)


def pytest_configure():
    for name in PROGRAMS:
        if not os.access(os.environ.get(name, ""), os.X_OK):
            raise pytest.UsageError(f"{name} must name a program; run tests/run, which sets it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Turns a skipped test into a failed one."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: no test here may be"
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
def server(simulator, search, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    server = support.Server(os.environ["FACEMATCH_BIN"], simulator, folder)
    yield server
    server.stop()
    # Searches the whole log again, including the lines of the shutdown.
    canary.Written(server, search).check()


@pytest.fixture(scope="session")
def search(simulator):
    pictures = [path.read_bytes() for path in sorted(support.SAMPLE.glob("*.jpg"))]
    return canary.Search(pictures, simulator.password.encode())


@pytest.fixture(scope="session")
def written(server, search):
    return canary.Written(server, search)


@pytest.fixture(autouse=True)
def nothing_leaks(written):
    """Fails a test during which the server has written a canary."""
    yield
    written.check()


@pytest.fixture(scope="session")
def client(server, stubs, search):
    with server.channel() as channel:
        yield canary.Answers(stubs.rpc.FaceMatchStub(channel), search)


@pytest.fixture(scope="session")
def portrait():
    return canary.marked((support.SAMPLE / "portrait.jpg").read_bytes())


@pytest.fixture(scope="session")
def stranger():
    return canary.marked((support.SAMPLE / "stranger.jpg").read_bytes())


@pytest.fixture
def folder_id(simulator, portrait):
    """A folder with liveness media of the person in the portrait."""
    return simulator.post_folder(portrait)


@pytest.fixture
def request_id():
    return f"python-{uuid.uuid4()}"


@pytest.fixture(scope="session")
def grpcurl(server, search):
    program = os.environ["GRPCURL"]
    return SimpleNamespace(program=program, address=server.address, search=search)


@pytest.fixture
def terminal(tmp_path):
    """Opens terminals in a checkout: `terminal(environment, replaced)`."""
    checkout, opened = Checkout(tmp_path), []

    def open_one(environment={}, replaced={}):
        name = f"terminal-{len(opened) + 1}"
        opened.append(Terminal(checkout, tmp_path, name, environment, replaced))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()
