"""Real servers: a testserver, or a server that restarts beside a simulator of its own."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

from .contract import ROOT
from .output import written

_SETTLE_SECONDS = 20


def binary():
    """The server's program."""
    given = os.environ.get("FACEMATCH_BIN")
    path = Path(given) if given else ROOT / "target/debug/facematch"
    if not path.is_file():
        raise SystemExit(f"there is no {path}: build it, or set FACEMATCH_BIN")
    return str(path)


class Simulator:
    """The control API of a simulator."""

    def __init__(self, url):
        self._address = urllib.parse.urlsplit(url).netloc

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 201, 204):
            raise RuntimeError(f"the simulator refuses {method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def folder(self, body):
        return self.call("POST", "/sim/folders", body)["folder_id"]

    def add_rules(self, folder, rules):
        for rule in rules:
            rule = {**rule, "match": {**rule.get("match", {}), "folder": folder}}
            self.call("POST", "/sim/script", {"version": 1, "rules": [rule]})

    def _acted(self, folder, endpoint):
        path = f"/sim/record?endpoint={endpoint}&folder={folder}&limit=1000"
        return [it for it in self.call("GET", path)["items"] if it["acted"]]

    def photos(self, folder):
        """Photos that reached the folder."""
        return sum(len(it["uploads"]) for it in self._acted(folder, "add_media"))

    def analyses(self, folder):
        """Biometry analyses that were started in the folder."""
        asked = [it["asked"] or {} for it in self._acted(folder, "start_analyses")]
        kinds = [one.get("type", "").lower() for it in asked for one in it.get("analyses", ())]
        return kinds.count("biometry")


# Where servers keep their stores. In memory, if that is possible: a commit waits for the disk,
# which other processes may keep busy for a minute.
_STORES = next((it for it in ("/dev/shm", tempfile.gettempdir()) if os.access(it, os.W_OK)), None)
_ENVIRONMENT = {**os.environ, "TMPDIR": _STORES} if _STORES else None

# A testserver's own times are for one test on a quiet machine; here many run at once.
_PATIENT = {"oz-timeout": "60s", "match-timeout": "20m"}


class Testserver:
    """`facematch testserver`. It ends when its standard input is closed, so with this process."""

    def __init__(self, settings=None, *arguments):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [binary(), "testserver", *_flags({**_PATIENT, **(settings or {})}), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_ENVIRONMENT,
        )
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"testserver doesn't start: {self.log()}")
        ready = json.loads(line)
        self.address = ready["grpc"]
        self.token = ready["token"]
        self.simulator = Simulator(ready["simulator"])

    def log(self):
        return written(self._log)

    def close(self):
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SETTLE_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Restarting:
    """`facematch serve` beside a simulator, on a fixed port, with a store that stays."""

    token = None

    def __init__(self, settings):
        self._folder = tempfile.TemporaryDirectory(prefix="facematch-conformance-", dir=_STORES)
        self._log = tempfile.TemporaryFile()
        self._sim = self._start("sim", "--listen", "127.0.0.1:0", "--output", "json")
        ready = json.loads(self._sim.stdout.readline())
        self.simulator = Simulator(ready["url"])
        self.simulator.call("PATCH", "/sim/switches", {"processing_ms": 50})
        self._port = _free_port()
        self.address = f"127.0.0.1:{self._port}"
        token = Path(self._folder.name, "token")
        token.write_text(ready["token"])
        given = {
            "listen": self.address,
            "store": f"sqlite:{self._folder.name}/facematch.db",
            "oz-url": ready["url"],
            "oz-token-file": str(token),
            "oz-poll-interval": "20ms",
            "oz-settle": "100ms",
            "oz-timeout": "60s",
            "heartbeat": "200ms",
            "drain-timeout": "1s",
            "log-level": "warn",
        }
        self._arguments = _flags({**given, **settings})
        self.restart()

    def restart(self):
        self._serve = self._start("serve", *self._arguments)
        if not self._serve.stdout.readline():
            raise RuntimeError(f"the server doesn't start: {self.log()}")

    def signal(self, name):
        self._serve.send_signal(signal.Signals[name])
        self._serve.wait(_SETTLE_SECONDS)
        self._serve.stdout.close()

    def _start(self, *arguments):
        return subprocess.Popen(
            [binary(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def log(self):
        return written(self._log)

    def close(self):
        for process in (self._serve, self._sim):
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
        self._folder.cleanup()


def _flags(settings):
    return [f"--{name}={value}" for name, value in settings.items()]


def testserver_for(server, files):
    """A testserver with the settings of a scenario."""
    arguments = []
    if server.get("callers"):
        arguments.append("--callers")
    if server.get("tls"):
        arguments += [f"--tls-cert-file={files.server_cert}", f"--tls-key-file={files.server_key}"]
    if server.get("client_ca"):
        arguments.append(f"--tls-client-ca-file={files.ca}")
    return Testserver(server.get("settings"), *arguments)


# Below the ports that the system gives to clients of its own accord. Each is tried once.
_ports = itertools.chain(
    range(20_000 + os.getpid() % 8_000, 32_000), range(20_000, 20_000 + os.getpid() % 8_000)
)
_ports_lock = threading.Lock()


def _free_port():
    while True:
        with _ports_lock, socket.socket() as probe:
            number = next(_ports)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", number))
                return number
