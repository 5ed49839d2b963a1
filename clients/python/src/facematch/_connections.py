"""The channel of a sync client: made at the first call, in the process that calls.

A channel doesn't survive a fork, so a child makes its own and leaves its parent's alone. A channel
whose connection seems dead is replaced: calls that still use it end first, then it is closed.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, Protocol

import grpc

from facematch._failure import Failure
from facematch._settings import Endpoint
from facematch.errors import UsageError
from facematch.v1 import face_match_pb2_grpc as rpc


class Connection:
    """A channel, the number of calls that use it, and how long it has left calls unanswered."""

    def __init__(self, channel: grpc.Channel | None, stub: Any, *, patience: float = 0.0) -> None:
        self.stub = stub
        self.users = 0
        self.is_retired = False
        self._channel = channel
        # For so many seconds calls may end unanswered by their callers' deadlines.
        self._patience = patience
        self._unanswered_since: float | None = None

    def begin_call(self) -> None:
        self.users += 1
        if self._unanswered_since is None:
            self._unanswered_since = time.monotonic()

    def heard(self) -> None:
        """Notes a sign of life."""
        self._unanswered_since = None

    def seems_dead(self, failure: Failure, *, is_own_limit: bool = False) -> bool:
        """Whether a call that failed so leaves a connection that another call must not use.

        A caller's deadline alone says little: it may be short. ``is_own_limit``: the call ran into
        a limit of this library instead.
        """
        if failure.is_silence:
            return True
        if not failure.is_timeout:
            self.heard()
            return False
        return is_own_limit or self.was_silent()

    def was_silent(self) -> bool:
        """Whether it has left calls unanswered for long, so that another call must not use it.

        This is asked when a call has ended unanswered.
        """
        since = self._unanswered_since
        return since is not None and time.monotonic() - since >= self._patience

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


class Connections(Protocol):
    """Hands out connections."""

    def acquire(self) -> Connection: ...
    def release(self, connection: Connection) -> None: ...
    def renew(self, connection: Connection) -> None: ...
    def close(self) -> None: ...
    @property
    def is_closed(self) -> bool: ...


class ChannelConnections:
    """One channel for each process."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # Reentrant: a collected stream may release its connection while this thread holds the lock.
        self._lock = threading.RLock()
        self._current: Connection | None = None
        self._retired: list[Connection] = []
        self._process = os.getpid()
        #: Channels of parent processes: closing them here would touch the parent's threads.
        self._abandoned: list[Connection] = []
        self._is_closed = False
        _all.add(self)

    def acquire(self) -> Connection:
        """A connection for one call; release it when the call has ended."""
        with self._lock:
            if self._is_closed:
                raise UsageError("the client is closed")
            self._leave_parent()
            if self._current is None:
                self._current = self._connect()
            self._current.begin_call()
            return self._current

    def release(self, connection: Connection) -> None:
        with self._lock:
            connection.users -= 1
            if not connection.is_retired or connection.users > 0:
                return
            if connection not in self._retired:
                return
            self._retired.remove(connection)
        connection.close()

    def renew(self, connection: Connection) -> None:
        """Makes the next call use another channel than this one, which seems dead."""
        with self._lock:
            if self._current is connection:
                self._current = None
                connection.is_retired = True
                self._retired.append(connection)

    def close(self) -> None:
        """Ends all calls."""
        with self._lock:
            self._is_closed = True
            self._leave_parent()
            open_ones = [*self._retired, *([self._current] if self._current else [])]
            self._retired, self._current = [], None
        for connection in open_ones:
            connection.close()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def after_fork(self) -> None:
        """In a child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def _leave_parent(self) -> None:
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._abandoned += [*self._retired, *([self._current] if self._current else [])]
        self._retired, self._current = [], None

    def _connect(self) -> Connection:
        credentials, options = self._endpoint.credentials(), self._endpoint.channel_options()
        if credentials is None:
            channel = grpc.insecure_channel(self._endpoint.target, options=options)
        else:
            channel = grpc.secure_channel(self._endpoint.target, credentials, options=options)
        patience = self._endpoint.limits.silence_least
        return Connection(channel, rpc.FaceMatchStub(channel), patience=patience)


_all: weakref.WeakSet[ChannelConnections] = weakref.WeakSet()


def _after_fork() -> None:
    for connections in list(_all):
        connections.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
