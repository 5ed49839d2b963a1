"""examples/python/run_match.py, run as it stands, and tested with cuts and refusals."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import documents
import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from support import CALL_SECONDS, ROOT

Code = grpc.StatusCode

SETUP = documents.block("docs/clients.md", "python3 -m venv")
SESSION = documents.block("docs/clients.md", "$ PYTHONPATH")


@pytest.fixture(scope="session")
def program():
    return ROOT / "examples" / "python" / "run_match.py"


@pytest.fixture(scope="session")
def client_module(program, stubs):
    spec = importlib.util.spec_from_file_location("run_match", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(program, stubs, portrait, tmp_path):
    """Starts the program as a process, as a reader would."""
    photo = tmp_path / "portrait.jpg"
    photo.write_bytes(portrait)
    stubs_folder = Path(stubs.pb.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(stubs_folder), "no_grpc_proxy": "127.0.0.1"}

    def run(address, folder_id):
        return subprocess.Popen(
            [sys.executable, program, address, folder_id, photo],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def test_the_page_of_clients_makes_its_stubs_and_runs_it(server, folder_id, portrait, tmp_path):
    """The packages are those of the tests: pip finds them installed, and needs no registry."""
    ((command, shown),) = documents.session(SESSION)
    for name in ("proto", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "portrait.jpg").write_bytes(portrait)
    environment = os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PIP_NO_INDEX": "1",
        "no_grpc_proxy": "127.0.0.1",
    }
    packages = sysconfig.get_path("purelib")

    def run(commands, **more):
        return subprocess.run(
            ["bash", "-ec", commands],
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
        )

    made = run(SETUP, PYTHONPATH=packages)
    assert made.returncode == 0, made.stdout + made.stderr
    (place,) = (tmp_path / "venv").glob("lib/*/site-packages")
    (place / "packages.pth").write_text(packages)
    said = run(command.replace("127.0.0.1:50051", server.address).replace("$FOLDER", folder_id))
    assert (said.stdout, said.stderr) == (shown, "")


def test_it_runs_a_match_to_its_verdict(start, server, folder_id):
    said, errors = start(server.address, folder_id).communicate(timeout=CALL_SECONDS)

    assert errors == ""
    *updates, verdict = said.splitlines()
    assert updates == ["1 accepted", "2 photo_uploaded", "3 analysis_started", "4 finished"]
    assert re.fullmatch(r"RESOLUTION_SUCCESS (0|1)(\.\d+)?", verdict)


def test_a_cut_connection_costs_neither_an_update_nor_the_photo_again(
    start, server, simulator, folder_id, portrait
):
    simulator.slow(folder_id)
    with Wire(server.address) as wire:
        running = start(wire.address, folder_id)
        said = []
        for line in running.stdout:
            said.append(line.strip())
            if line.startswith("3 "):
                sent = wire.cut()
                assert sent >= len(portrait)
                simulator.hurry()
        assert running.wait(CALL_SECONDS) == 0, running.stderr.read()
        running.stderr.close()
        assert wire.cut() < len(portrait), "the photo was sent twice"

    updates = ["1 accepted", "2 photo_uploaded", "3 analysis_started", "4 finished"]
    assert said[:-1] == updates
    assert len(simulator.asked("add_media", folder_id)) == 1


class Refused(grpc.RpcError):
    """An error as grpcio raises it."""

    def __init__(self, code, reason=None, delay=None):
        self._code = code
        self._details = []
        if reason:
            info = error_details_pb2.ErrorInfo(domain="facematch", reason=reason)
            self._details.append(packed(info))
        if delay is not None:
            seconds = duration_pb2.Duration(seconds=int(delay), nanos=int(delay % 1 * 1e9))
            self._details.append(packed(error_details_pb2.RetryInfo(retry_delay=seconds)))

    def code(self):
        return self._code

    def details(self):
        return "refused"

    def trailing_metadata(self):
        if not self._details:
            return ()
        status = status_pb2.Status(
            code=self._code.value[0], message=self.details(), details=self._details
        )
        return (("grpc-status-details-bin", status.SerializeToString()),)


def packed(message):
    detail = any_pb2.Any()
    detail.Pack(message)
    return detail


class Script:
    """A stub that answers each call with the next line of a script, and records the calls."""

    def __init__(self, pb, *answers):
        self._pb = pb
        self._answers = list(answers)
        self.called = []

    def _answer(self, name, after):
        self.called.append((name, after))
        for step in self._answers.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step

    def RunMatch(self, request, timeout):
        assert timeout > 0
        return self._answer("RunMatch", 0)

    def WatchMatch(self, request, timeout):
        assert request.request_id == "order-17" and timeout > 0
        return self._answer("WatchMatch", request.after_sequence)


@pytest.fixture
def play(client_module, pb, monkeypatch):
    """Runs the client's loop over a script, with a clock that only the client's pauses move."""

    def run(*answers, **limits):
        now, pauses = [0.0], []

        def sleep(seconds):
            pauses.append(seconds)
            now[0] += seconds

        monkeypatch.setattr(client_module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(client_module.time, "sleep", sleep)
        stub = Script(pb, *answers)
        request = pb.MatchRequest(request_id="order-17")
        seen, error = [], None
        try:
            for update in client_module.run_match(stub, request, **limits):
                seen.append(update.sequence)
        except grpc.RpcError as raised:
            error = raised
        return seen, stub.called, pauses, error

    return run


@pytest.fixture
def updates(pb):
    """The updates of a match that succeeds."""
    states = [pb.MATCH_STATE_ACCEPTED, pb.MATCH_STATE_UPLOADED, pb.MATCH_STATE_PROCESSING,
              pb.MATCH_STATE_FINISHED]
    photos = ["", "p", "p", "p"]
    return [
        pb.MatchUpdate(sequence=n, match=pb.Match(state=state, photo_media_id=photo))
        for n, (state, photo) in enumerate(zip(states, photos), start=1)
    ]


def test_the_photo_is_sent_again_only_until_it_is_uploaded(play, updates):
    broken = Refused(Code.UNAVAILABLE)
    seen, called, _, error = play(
        [updates[0], broken],
        [updates[0], updates[1], broken],
        [updates[2], updates[3]],
    )

    assert (seen, error) == ([1, 2, 3, 4], None)
    assert called == [("RunMatch", 0), ("RunMatch", 0), ("WatchMatch", 2)]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (Code.UNAVAILABLE, "SERVER_DRAINING"),
        (Code.UNAVAILABLE, "STORE_UNAVAILABLE"),
        (Code.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (Code.RESOURCE_EXHAUSTED, "UPDATES_UNREAD"),
        (Code.DEADLINE_EXCEEDED, "CALL_TIMED_OUT"),
    ],
)
def test_a_retryable_refusal_is_retried_after_the_delay_it_gives(play, updates, code, reason):
    seen, _, pauses, error = play([Refused(code, reason, 1.25)], updates)

    assert (seen, pauses, error) == ([1, 2, 3, 4], [1.25], None)


@pytest.mark.parametrize(
    "error",
    [
        Refused(Code.INVALID_ARGUMENT, "FIELD_INVALID"),
        Refused(Code.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
        Refused(Code.NOT_FOUND, "MATCH_NOT_FOUND"),
        Refused(Code.INTERNAL, "INTERNAL"),
        Refused(Code.RESOURCE_EXHAUSTED, "A_REASON_OF_LATER"),
        # The client's own limit on messages, and its own deadline.
        Refused(Code.RESOURCE_EXHAUSTED),
        Refused(Code.DEADLINE_EXCEEDED),
        Refused(Code.UNIMPLEMENTED),
    ],
    ids=lambda error: f"{error.code().name}-{len(error.trailing_metadata())}",
)
def test_an_error_that_a_retry_cannot_fix_is_raised_at_once(play, error):
    seen, called, pauses, raised = play([error])

    assert (seen, called, pauses) == ([], [("RunMatch", 0)], [])
    assert raised is error


def test_progress_resets_the_retry_budget_and_failures_exhaust_it(play, updates):
    broken = [Refused(code) for code in (Code.UNAVAILABLE, Code.UNKNOWN, Code.CANCELLED)]
    cuts = [[error] for error in broken * 30]
    # Many cuts precede each update, each time within the patience.
    script = []
    for update in updates:
        script += cuts + [[update, Refused(Code.INTERNAL)]]
    seen, _, pauses, error = play(*script[:-1], [updates[3]], patience=500)
    assert (seen, error) == ([1, 2, 3, 4], None)
    assert len(pauses) > 300 and max(pauses) <= 5

    seen, _, pauses, error = play(*cuts * 20, patience=60)
    assert seen == [] and error is not None
    assert sum(pauses) <= 60


def test_a_stream_that_ends_before_its_match_is_resumed(play, updates):
    seen, called, _, error = play(updates[:2], updates[2:])

    assert (seen, error) == ([1, 2, 3, 4], None)
    assert called == [("RunMatch", 0), ("WatchMatch", 2)]


def test_heartbeats_and_repeated_updates_are_not_yielded(play, pb, updates):
    beat = pb.MatchUpdate(sequence=1, heartbeat=pb.Heartbeat())
    seen, _, _, _ = play([updates[0], beat, Refused(Code.UNAVAILABLE)], [updates[0], *updates])

    assert seen == [1, 2, 3, 4]


class Wire:
    """A proxy whose connections can be cut, and which counts the bytes that clients send."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self._behind = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self._open = []
        self._sent = 0
        self._lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        self.cut()

    def cut(self):
        """Cuts all connections; returns the bytes that clients have sent since the last cut."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._open, sent, self._sent = [], self._sent, 0
            return sent

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._behind)
            with self._lock:
                self._open += [client, server]
            for source, sink, counted in ((client, server, True), (server, client, False)):
                pump = threading.Thread(
                    target=self._pump, args=(source, sink, counted), daemon=True
                )
                pump.start()

    def _pump(self, source, sink, counted):
        try:
            while piece := source.recv(65536):
                if counted:
                    with self._lock:
                        self._sent += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for connection in (source, sink):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
