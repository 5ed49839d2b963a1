"""A real server with a simulated Oz, for tests: ``facematch testserver`` in its own process."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from facematch._client import Client

if TYPE_CHECKING:
    from typing_extensions import Self

_STOP_SECONDS = 30


class ServerUnavailable(RuntimeError):
    """The program isn't there, or doesn't start."""


def find_binary() -> str | None:
    """The server's program: ``FACEMATCH_BIN``, else ``facematch`` on the PATH; None if there is
    none. Nothing is downloaded."""
    given = os.environ.get("FACEMATCH_BIN")
    return given or shutil.which("facematch")


class Oz:
    """The simulated Oz: it compares pictures, not faces. docs/simulator.md has all switches."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urllib.parse.urlsplit(url).netloc

    def folder(self, **body: Any) -> str:
        """Makes a folder with liveness media, and returns its id.

        Without arguments a match with :meth:`portrait` in it is SUCCESS.
        ``person="stranger"``: DECLINED. ``verdict={"resolution": "OPERATOR_REQUIRED"}``,
        ``verdict={"state": "FAILED"}``, ``verdict={"processing_ms": 60000}``: as they say.
        """
        folder_id: str = self.call("POST", "/sim/folders", body)["folder_id"]
        return folder_id

    def portrait(self) -> bytes:
        """The sample person's photo, a JPEG."""
        return self._get("/sim/samples/portrait.jpg")

    def stranger(self) -> bytes:
        """Another person's photo, a JPEG."""
        return self._get("/sim/samples/stranger.jpg")

    def rule(
        self, match: dict[str, Any], then: dict[str, Any], *, folder: str | None = None
    ) -> None:
        """Adds a fault, such as ``rule({"endpoint": "add_media", "nth": 1}, {"status": 503})``."""
        if folder is not None:
            match = {**match, "folder": folder}
        body = {"version": 1, "rules": [{"match": match, "then": then}]}
        self.call("POST", "/sim/script", body)

    def skip(self, seconds: float) -> None:
        """Moves the simulated Oz's clock forward: analyses finish."""
        self.call("POST", "/sim/clock", {"skip_ms": round(seconds * 1000)})

    def record(self, *, folder: str, endpoint: str | None = None) -> Sequence[dict[str, Any]]:
        """The requests that reached the simulated Oz about a folder, oldest first."""
        query = {"folder": folder, "limit": "1000", **({"endpoint": endpoint} if endpoint else {})}
        path = f"/sim/record?{urllib.parse.urlencode(query)}"
        items: Sequence[dict[str, Any]] = self.call("GET", path)["items"]
        return items

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control API, with its answer."""
        text = self._request(method, path, None if body is None else json.dumps(body))
        return json.loads(text) if text else None

    def _get(self, path: str) -> bytes:
        return self._request("GET", path, None)

    def _request(self, method: str, path: str, body: str | None) -> bytes:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ValueError(f"the simulator refuses {method} {path}: {text.decode()}")
        return text


class Server:
    """``facematch testserver``: a context manager. It ends with this process, however that ends.

    ``settings`` are flags of ``facematch serve`` without dashes in front, such as
    ``{"heartbeat": "1s"}``.
    """

    def __init__(
        self,
        binary: str | os.PathLike[str] | None = None,
        *,
        settings: dict[str, str] | None = None,
        callers: bool = False,
    ) -> None:
        program = binary or find_binary()
        if program is None:
            raise ServerUnavailable("set FACEMATCH_BIN, or put facematch on the PATH")
        arguments = [f"--{name}={value}" for name, value in (settings or {}).items()]
        arguments += ["--callers"] if callers else []
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        try:
            self._process = subprocess.Popen(
                [os.fspath(program), "testserver", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            self._log.close()
            raise ServerUnavailable(f"{program} doesn't start: {error.strerror}") from error
        ready = self._ready_line()
        #: Where callers connect: the target of a client.
        self.target: str = ready["grpc"]
        #: The base URL of the admin port.
        self.admin: str = ready["admin"]
        #: The API key that calls need with ``callers=True``; else None.
        self.token: str | None = ready["token"]
        #: The simulated Oz.
        self.oz = Oz(ready["simulator"])

    def _ready_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            log = self.log()
            self.close()
            raise ServerUnavailable(f"the server doesn't start: {log}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def client(self, **arguments: Any) -> Client:
        """A client of this server, with the arguments of :class:`~facematch.Client`."""
        return Client(self.target, **{"token": self.token, **arguments})

    def log(self) -> str:
        """What the server has logged so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Ends the server. Closing twice is fine."""
        if self._log.closed:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<facematch.testing.Server {self.target!r}>"
