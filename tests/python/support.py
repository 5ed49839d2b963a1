"""Support for the tests: real processes, and the simulator from the view of an SDK and an auditor.

It uses only the product's public interfaces: its command line, its published proto, and Oz's API.
"""

import http.client
import importlib
import io
import json
import queue
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc_tools
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTO = "facematch/v1/face_match.proto"
SAMPLE = ROOT / "src/simulator/sample"

READY_SECONDS = 20
STOP_SECONDS = 40
CALL_SECONDS = 60

# How often a log is read again while a test waits for a line.
LOOK_SECONDS = 0.05

# Ports below those that the kernel assigns to clients, so that none of them takes a free one.
PORTS = range(15_000, 32_000)
PORTS_TRIED_MAX = 100


def compile_stubs(folder):
    """Compiles the published proto as any Python user would, and imports the result."""
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{bundled}"]
    arguments += [f"--python_out={folder}", f"--grpc_python_out={folder}", PROTO]
    if protoc.main(arguments) != 0:
        raise AssertionError("grpcio-tools refuses the published proto")
    sys.path.insert(0, str(folder))
    return SimpleNamespace(
        pb=importlib.import_module("facematch.v1.face_match_pb2"),
        rpc=importlib.import_module("facematch.v1.face_match_pb2_grpc"),
    )


class Program:
    """A process of the product, from its ready line to its end.

    `said` holds its lines on stdout so far, `log` is the file of its stderr.
    """

    def __init__(self, arguments, ready, log, descriptors=None):
        self.log = log
        self.said = []
        self._lines = queue.Queue()
        with open(log, "wb") as stderr:
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                preexec_fn=descriptors and (lambda: _limit_descriptors(descriptors)),
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready = self._wait_for(re.compile(ready))

    def _read(self):
        with open(f"{self.log}.stdout", "wb") as copy:
            for line in self._process.stdout:
                copy.write(line)
                copy.flush()
                self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    def _wait_for(self, pattern):
        """Reads lines until one matches; fails with all output so far if none comes."""
        while True:
            try:
                line = self._lines.get(timeout=READY_SECONDS)
            except queue.Empty:
                line = None
            if line is None:
                self.stop()
                errors = Path(self.log).read_text(errors="replace")
                raise AssertionError(f"no line has {pattern.pattern!r}: {self.said} {errors}")
            self.said.append(line)
            if found := pattern.search(line):
                return found

    def stop(self):
        """Terminates the process, kills it if that doesn't help, and returns its exit code."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        return code


class Simulator(Program):
    """`facematch sim`, with the requests of an SDK and an auditor, which the server never sends."""

    def __init__(self, binary, log):
        arguments = [binary, "sim", "--listen", "127.0.0.1:0"]
        super().__init__(arguments, r"the Oz simulator is ready on (http://(\S+:\d+))", log)
        self.url, self._address = self.ready.groups()
        self.login = self._hint("login")
        self.password = self._hint("password")
        self._token = None

    def post_folder(self, picture):
        """Leaves a shot set of a picture in a new folder, as an SDK does, and returns its id."""
        payload = {
            "media:tags": {
                "video1": ["video_selfie", "video_selfie_blank", "orientation_portrait"]
            }
        }
        body, content_type = _multipart(payload, "video1", "liveness.zip", shot_set(picture))
        headers = {"Content-Type": content_type, "X-Forensic-Access-Token": self._sign_in()}
        return self._call("POST", "/api/folders/", body, headers)["folder_id"]

    def folder(self, folder_id):
        """A folder as Oz shows it, with its analyses."""
        path = f"/api/folders/{folder_id}?with_analyses=true"
        return self._call("GET", path, headers={"X-Forensic-Access-Token": self._sign_in()})

    def asked(self, endpoint, folder_id):
        """The recorded requests to one endpoint about one folder, oldest first."""
        path = f"/sim/record?endpoint={endpoint}&folder={folder_id}&limit=1000"
        return self._call("GET", path)["items"]

    def slow(self, folder_id):
        """Makes the analyses of a folder take ten minutes by the simulator's clock."""
        rule = {"match": {"folder": folder_id}, "then": {"outcome": {"processing_ms": 600_000}}}
        self._post("/sim/script", {"version": 1, "rules": [rule]})

    def hurry(self):
        """Skips these ten minutes of the simulator's clock: less than the lifetime of a session."""
        self._post("/sim/clock", {"skip_ms": 600_000})

    def _post(self, path, body):
        headers = {"Content-Type": "application/json"}
        return self._call("POST", path, json.dumps(body).encode(), headers)

    def _hint(self, name):
        """A part of the credentials, from the ready line or a later one."""
        hint = re.compile(rf"{name}[\s:=]+([^\s,;)]+)")
        return (hint.search(" ".join(self.said)) or self._wait_for(hint)).group(1)

    def _sign_in(self):
        if self._token is None:
            credentials = {"credentials": {"email": self.login, "password": self.password}}
            headers = {"Content-Type": "application/json"}
            answer = self._call(
                "POST", "/api/authorize/auth/", json.dumps(credentials).encode(), headers
            )
            self._token = answer["access_token"]
        return self._token

    def _call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self._address, timeout=CALL_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status in (200, 201), f"{method} {path}: {answer.status} {text[:500]}"
        return json.loads(text)


class Server(Program):
    """`facematch serve` in front of a simulator, with its journal in `folder`.

    By default it logs at the level trace, with its libraries, so that every line can be searched.
    """

    def __init__(
        self, binary, simulator, folder, log_level="trace", settings=(), descriptors=None
    ):
        self.folder = folder
        arguments = [binary, "serve", "--listen", "127.0.0.1:0"]
        if "--store" not in settings:
            arguments += ["--store", f"sqlite:{folder}/facematch.db"]
        arguments += ["--oz-url", simulator.url, "--oz-login", simulator.login]
        arguments += ["--oz-password", simulator.password, "--log-level", log_level, *settings]
        ready, log = r"facematch is ready on (\S+:\d+)", folder / "serve.log"
        super().__init__(arguments, ready, log, descriptors)
        self.address = self.ready.group(1)

    def reload(self, told):
        """Sends SIGHUP, and waits until the log tells that something was read again."""
        before = self._told(told)
        self._process.send_signal(signal.SIGHUP)
        ends = time.monotonic() + READY_SECONDS
        while self._told(told) == before:
            assert time.monotonic() < ends, f"the log has no {told!r}"
            time.sleep(LOOK_SECONDS)

    def _told(self, text):
        return self.log.read_bytes().count(text.encode())

    def channel(self):
        # Ignores a proxy in the environment: the address is 127.0.0.1.
        return grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0)])


def _limit_descriptors(descriptors):
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def free_port():
    """A free port of the loopback, which the kernel assigns to no client meanwhile."""
    for port in random.choices(PORTS, k=PORTS_TRIED_MAX):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of {PORTS_TRIED_MAX} ports is free")


def shot_set(picture, frames=3):
    """A ZIP of JPEG frames, like an SDK's shot set."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as shots:
        for index in range(frames):
            shots.writestr(f"frame_{index:03}.jpg", picture)
    return archive.getvalue()


def refusal(error):
    """The status of a refused call, with its details."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error.code()} {error.details()}"
    told = SimpleNamespace(
        code=error.code(),
        message=status.message,
        domain=None,
        reason=None,
        metadata={},
        violations={},
    )
    for detail in status.details:
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            told.domain, told.reason, told.metadata = info.domain, info.reason, dict(info.metadata)
        elif detail.Unpack(bad_request):
            told.violations = {v.field: v.description for v in bad_request.field_violations}
    return told


def _multipart(payload, part, file_name, content):
    boundary = uuid.uuid4().hex
    text = f'Content-Disposition: form-data; name="payload"\r\n\r\n{json.dumps(payload)}'
    file = (
        f'Content-Disposition: form-data; name="{part}"; filename="{file_name}"\r\n'
        "Content-Type: application/zip\r\n\r\n"
    )
    edge = f"--{boundary}\r\n"
    end = f"\r\n--{boundary}--\r\n"
    body = f"{edge}{text}\r\n{edge}{file}".encode() + content + end.encode()
    return body, f"multipart/form-data; boundary={boundary}"
