"""Clients without a server: they play a script in memory, with the real resume algorithm.

For tests of code that calls :class:`~facematch.Client`::

    fake = FakeFaceMatch.script([verdict("DECLINED")])
    assert my_check(fake) == "another person"
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from facematch._aio_client import AioCore, AsyncClient
from facematch._aio_connections import AioConnection
from facematch._client import Client, Core
from facematch._connections import Connection
from facematch._reasons import CALL_REASONS, MATCH_REASONS
from facematch._settings import Limits, OnReconnect, Retry
from facematch._tokens import Token
from facematch.errors import UsageError
from facematch.testing import script

if TYPE_CHECKING:
    from typing_extensions import Self

_VERSION = (("facematch-version", "fake"),)
_QUICK = Retry(first=0.001, longest=0.01)


def verdict(resolution: str = "SUCCESS", *, min_confidence: float = 0.97) -> dict[str, Any]:
    """The exchange of a match that ends with this resolution."""
    end = {"event": "finished", "resolution": resolution, "min_confidence": min_confidence}
    return {"rpc": "RunMatch", "send": [*_running(), end]}


def failed(reason: str, *, retryable: bool = False) -> dict[str, Any]:
    """The exchange of a match that FAILED for this reason."""
    if reason not in MATCH_REASONS:
        raise UsageError(f"no match fails with {reason}")
    end = {"event": "failed", "reason": reason, "retryable": retryable}
    return {"rpc": "RunMatch", "send": [*_running(), end]}


def refused(
    reason: str, code: str, *, rpc: str = "RunMatch", retry_after_ms: int | None = None
) -> dict[str, Any]:
    """The exchange of a call that is refused for this reason."""
    if reason not in CALL_REASONS:
        raise UsageError(f"no call is refused with {reason}")
    error: dict[str, Any] = {"code": code, "reason": reason}
    if retry_after_ms is not None:
        error["retry_after_ms"] = retry_after_ms
    return {"rpc": rpc, "end": error}


def _running() -> list[dict[str, Any]]:
    return [{"event": it} for it in ("accepted", "photo_uploaded", "analysis_started")]


class _Error(grpc.RpcError):
    """What gRPC raises, as far as a client looks at it."""

    def __init__(
        self, code: grpc.StatusCode, details: str, trailers: Sequence[tuple[str, Any]] = ()
    ) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code = code
        self._details = details
        self._trailers = trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailers

    def initial_metadata(self) -> Any:
        return _VERSION


class Script:
    """The exchanges of a fake, and how far they are played."""

    def __init__(self, exchanges: Sequence[script.Short]) -> None:
        self._exchanges = list(exchanges)
        self._lock = threading.Condition()
        self._words: set[str] = set()
        self._updates = script.Updates()
        self._request_id = ""
        self._ended_at: float | None = None
        #: All requests so far: the name of the rpc, and what the script sees of the request.
        self.requests: list[tuple[str, dict[str, Any]]] = []

    @property
    def unplayed(self) -> list[str]:
        """The rpcs of the exchanges that haven't happened."""
        return [it["rpc"] for it in self._exchanges[len(self.requests) :]]

    def say(self, word: str) -> None:
        """Lets an exchange continue that waits by ``{"wait": word}``."""
        with self._lock:
            self._words.add(word)
            self._lock.notify_all()

    def begin(self, rpc: str, request: Any, metadata: Sequence[tuple[str, Any]]) -> Played:
        """The next exchange. An unexpected one is an AssertionError in the calling code."""
        with self._lock:
            found = script.seen(request, dict(metadata))
            number = len(self.requests)
            if number == len(self._exchanges):
                raise AssertionError(f"{rpc} is called after the end of the script")
            exchange = self._exchanges[number]
            self.requests.append((rpc, found))
            if exchange["rpc"] != rpc:
                raise AssertionError(f"exchange {number}: {rpc} is called, not {exchange['rpc']}")
            if not script.holds(exchange.get("expect", {}), found):
                raise AssertionError(f"exchange {number}: expected {exchange['expect']}")
            self._check_pause(number, exchange)
            self._request_id = found.get("request_id") or self._request_id
        return Played(self, exchange)

    def _check_pause(self, number: int, exchange: script.Short) -> None:
        earliest = exchange.get("not_before_ms")
        if earliest is None or self._ended_at is None:
            return
        waited = (time.monotonic() - self._ended_at) * 1000
        if waited < earliest:
            raise AssertionError(f"exchange {number}: {waited:.0f} ms after the last one")

    def message(self, short: script.Short) -> Any:
        with self._lock:
            return self._updates.message(short, self._request_id)

    def answer(self, rpc: str, short: script.Short) -> Any:
        return script.answer(rpc, short, self._request_id)

    def has_said(self, word: str) -> bool:
        with self._lock:
            return word in self._words

    def end(self) -> None:
        self._ended_at = time.monotonic()


class Played:
    """One exchange while it is played: steps that are messages, words to wait for, pauses and the
    end."""

    def __init__(self, whole: Script, exchange: script.Short) -> None:
        self.whole = whole
        self._exchange = exchange

    def steps(self) -> Iterator[tuple[str, Any]]:
        rpc = self._exchange["rpc"]
        for short in self._exchange.get("send", ()):
            if "wait" in short:
                yield "wait", short["wait"]
            elif "wait_ms" in short:
                yield "pause", short["wait_ms"] / 1000
            else:
                yield "message", self.whole.message(short)
        if "answer" in self._exchange:
            yield "message", self.whole.answer(rpc, self._exchange["answer"])
        end = self._exchange.get("end", "OK")
        if end == "hang":
            yield "hang", None
        self.whole.end()
        if end != "OK":
            error = _Error(script.code(end), script.message(end), script.trailers(end))
            yield "error", error


class _Call:
    """A call of a sync fake."""

    _LOOK_SECONDS = 0.002

    def __init__(self, played: Played, timeout: float | None) -> None:
        self._played = played
        self._steps = played.steps()
        self._due = None if timeout is None else time.monotonic() + timeout
        self._cancelled = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        for kind, value in self._steps:
            if kind == "message":
                return value
            if kind == "error":
                raise value
            self._wait(kind, value)
        raise StopIteration

    def _wait(self, kind: str, value: Any) -> None:
        until = time.monotonic() + value if kind == "pause" else None
        while not (kind == "wait" and self._played.whole.has_said(value)):
            if until is not None and time.monotonic() >= until:
                return
            if self._due is not None and time.monotonic() >= self._due:
                raise _Error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            if self._cancelled.wait(self._LOOK_SECONDS):
                raise _Error(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")

    def cancel(self) -> None:
        self._cancelled.set()

    def initial_metadata(self) -> Sequence[tuple[str, Any]]:
        return _VERSION


class _Method:
    """An rpc of a sync fake's stub."""

    def __init__(self, whole: Script, rpc: str) -> None:
        self._whole = whole
        self._rpc = rpc

    def __call__(self, request: Any, *, timeout: float | None, metadata: Any) -> _Call:
        return _Call(self._whole.begin(self._rpc, request, metadata), timeout)

    def with_call(self, request: Any, *, timeout: float | None, metadata: Any) -> Any:
        call = self(request, timeout=timeout, metadata=metadata)
        return next(call), call


class _AioCall:
    """A call of an asyncio fake."""

    _LOOK_SECONDS = 0.002

    def __init__(self, played: Played, timeout: float | None) -> None:
        self._played = played
        self._steps = played.steps()
        self._due = None if timeout is None else time.monotonic() + timeout

    def __await__(self) -> Any:
        return self.read().__await__()

    async def read(self) -> Any:
        for kind, value in self._steps:
            if kind == "message":
                return value
            if kind == "error":
                raise value
            await self._wait(kind, value)
        return grpc.aio.EOF

    async def _wait(self, kind: str, value: Any) -> None:
        until = time.monotonic() + value if kind == "pause" else None
        while not (kind == "wait" and self._played.whole.has_said(value)):
            if until is not None and time.monotonic() >= until:
                return
            if self._due is not None and time.monotonic() >= self._due:
                raise _Error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            await asyncio.sleep(self._LOOK_SECONDS)

    def cancel(self) -> None:
        """Nothing to do: the reader's task is cancelled by its owner."""

    async def initial_metadata(self) -> Sequence[tuple[str, Any]]:
        return _VERSION


class _AioMethod:
    """An rpc of an asyncio fake's stub."""

    def __init__(self, whole: Script, rpc: str) -> None:
        self._whole = whole
        self._rpc = rpc

    def __call__(self, request: Any, *, timeout: float | None, metadata: Any) -> _AioCall:
        return _AioCall(self._whole.begin(self._rpc, request, metadata), timeout)


class _Stub:
    def __init__(self, whole: Script, method: type[_Method] | type[_AioMethod]) -> None:
        for rpc in script.RPCS:
            setattr(self, rpc, method(whole, rpc))


class _FakeConnections:
    """Connections that are none."""

    def __init__(self, whole: Script) -> None:
        self._connection = Connection(None, _Stub(whole, _Method))
        self.is_closed = False

    def acquire(self) -> Connection:
        if self.is_closed:
            raise UsageError("the client is closed")
        return self._connection

    def release(self, connection: Connection) -> None:
        pass

    def renew(self, connection: Connection) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class _FakeAioConnections:
    def __init__(self, whole: Script) -> None:
        self._connection = AioConnection(None, _Stub(whole, _AioMethod))
        self.is_closed = False

    def acquire(self) -> AioConnection:
        if self.is_closed:
            raise UsageError("the client is closed")
        return self._connection

    def release(self, connection: AioConnection) -> None:
        pass

    def renew(self, connection: AioConnection) -> None:
        pass

    async def aclose(self) -> None:
        self.is_closed = True


class FakeFaceMatch(Client):
    """A :class:`~facematch.Client` that plays a script. Make one by :meth:`script`."""

    #: The script, with the requests so far.
    played: Script

    @classmethod
    def script(
        cls,
        exchanges: Sequence[script.Short],
        *,
        retry: Retry = _QUICK,
        limits: Limits | None = None,
        on_reconnect: OnReconnect | None = None,
    ) -> Self:
        """A client whose calls are answered by these exchanges, in order. By default its retries
        without an asked delay take milliseconds."""
        fake = cls.__new__(cls)
        fake.played = Script(exchanges)
        core = Core(
            _FakeConnections(fake.played),
            token=Token(None, None),
            headers=[],
            retry=retry,
            limits=limits or Limits(),
            on_reconnect=on_reconnect,
        )
        fake._begin("fake", core)
        return fake


class AsyncFakeFaceMatch(AsyncClient):
    """An :class:`~facematch.AsyncClient` that plays a script. Make one by :meth:`script`."""

    #: The script, with the requests so far.
    played: Script

    @classmethod
    def script(
        cls,
        exchanges: Sequence[script.Short],
        *,
        retry: Retry = _QUICK,
        limits: Limits | None = None,
        on_reconnect: OnReconnect | None = None,
    ) -> Self:
        """A client whose calls are answered by these exchanges, in order. By default its retries
        without an asked delay take milliseconds."""
        fake = cls.__new__(cls)
        fake.played = Script(exchanges)
        core = AioCore(
            _FakeAioConnections(fake.played),
            token=Token(None, None),
            headers=[],
            retry=retry,
            limits=limits or Limits(),
            on_reconnect=on_reconnect,
        )
        fake._begin("fake", core)
        return fake
