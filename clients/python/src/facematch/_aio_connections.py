"""The channels of an asyncio client: one for each event loop, made at the first call in it.

gRPC ties a channel to the loop in which it is made, so a client that outlives its loop, as in two
calls of ``asyncio.run``, makes another one.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Any, Protocol

import grpc

from facematch._connections import Connection
from facematch._settings import Endpoint
from facematch.errors import UsageError
from facematch.v1 import face_match_pb2_grpc as rpc


class AioConnection(Connection):
    """A channel of one loop."""

    def __init__(
        self, channel: grpc.aio.Channel | None, stub: Any, *, patience: float = 0.0
    ) -> None:
        super().__init__(None, stub, patience=patience)
        self._aio_channel = channel

    async def aclose(self) -> None:
        if self._aio_channel is not None:
            await self._aio_channel.close()


class AioConnections(Protocol):
    """Hands out connections of the running loop."""

    def acquire(self) -> AioConnection: ...
    def release(self, connection: AioConnection) -> None: ...
    def renew(self, connection: AioConnection) -> None: ...
    async def aclose(self) -> None: ...
    @property
    def is_closed(self) -> bool: ...


class AioChannelConnections:
    """One channel for each loop and process."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._process = os.getpid()
        self._current: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AioConnection] = (
            weakref.WeakKeyDictionary()
        )
        self._retired: set[AioConnection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._abandoned: list[AioConnection] = []
        self._is_closed = False

    def acquire(self) -> AioConnection:
        """A connection for one call; release it when the call has ended."""
        if self._is_closed:
            raise UsageError("the client is closed")
        self._leave_parent()
        loop = asyncio.get_running_loop()
        connection = self._current.get(loop)
        if connection is None:
            connection = self._current[loop] = self._connect()
        connection.begin_call()
        return connection

    def release(self, connection: AioConnection) -> None:
        connection.users -= 1
        if connection.users == 0 and connection in self._retired:
            self._retired.discard(connection)
            self._close_later(connection)

    def renew(self, connection: AioConnection) -> None:
        """Makes the next call use another channel than this one, which seems dead."""
        loop = asyncio.get_running_loop()
        if self._current.get(loop) is connection:
            del self._current[loop]
            self._retired.add(connection)

    async def aclose(self) -> None:
        """Ends all calls of the running loop. Those of other loops end with their loops."""
        self._is_closed = True
        self._leave_parent()
        current = self._current.pop(asyncio.get_running_loop(), None)
        retired, self._retired = self._retired, set()
        for connection in {*retired, *([] if current is None else [current])}:
            await connection.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def _leave_parent(self) -> None:
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._abandoned += [*self._retired, *self._current.values()]
        self._retired = set()
        self._current = weakref.WeakKeyDictionary()

    def _close_later(self, connection: AioConnection) -> None:
        task = asyncio.get_running_loop().create_task(connection.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _connect(self) -> AioConnection:
        credentials, options = self._endpoint.credentials(), self._endpoint.channel_options()
        if credentials is None:
            channel = grpc.aio.insecure_channel(self._endpoint.target, options=options)
        else:
            channel = grpc.aio.secure_channel(self._endpoint.target, credentials, options=options)
        patience = self._endpoint.limits.silence_least
        return AioConnection(channel, rpc.FaceMatchStub(channel), patience=patience)
