"""Streams of the asyncio client, which resume by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from facematch._aio_connections import AioConnection, AioConnections
from facematch._call import Attempts, own_limit, shorter
from facematch._failure import Failure
from facematch._requests import Seconds
from facematch._resume import Following, FollowingAll, NextCall
from facematch._streams import END_SECONDS, Broken, silent, version_in
from facematch._verdict import Verdict, verdict_of
from facematch.errors import CallCancelledError, FaceMatchError
from facematch.v1 import face_match_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Self

    from facematch._aio_client import AioCore

_Answer = TypeVar("_Answer")


async def settled(call: Awaitable[_Answer], limit: float | None = None) -> _Answer:
    """What a part of a call ends with; a :class:`Broken` if it fails or takes too long.

    gRPC raises ``CancelledError`` also for a call that the server has cancelled. So it is awaited
    in a task of its own: only a cancellation of the caller's task is one of the caller.
    """
    task = asyncio.ensure_future(call)
    task.add_done_callback(_retrieve)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise Broken(silent(limit or 0.0))
    if task.cancelled():
        raise Broken(Failure(grpc.StatusCode.CANCELLED, "the call was cancelled by the server"))
    error = task.exception()
    if isinstance(error, grpc.RpcError):
        raise Broken(Failure.of(error)) from error
    return task.result()


def _retrieve(task: asyncio.Future[Any]) -> None:
    # An abandoned task's error isn't worth a warning.
    if not task.cancelled():
        task.exception()


class _OpenCall:
    """The rpc that a stream has open, if it has one."""

    def __init__(self, connections: AioConnections) -> None:
        self._connections = connections
        self._connection: AioConnection | None = None
        self._call: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_open(self) -> bool:
        return self._call is not None

    def open(
        self, core: AioCore, next_call: NextCall, token: str | None, left: float | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = self._connections.acquire()
        method = getattr(self._connection.stub, next_call.rpc)
        metadata = core.metadata(token)
        self._call = method(next_call.request, timeout=left, metadata=metadata)

    async def read(self, limit: float) -> pb.MatchUpdate | None:
        """The next message; None at the end. A silence longer than the limit is a failure."""
        message = await settled(self._call.read(), limit)
        if self._connection is not None:
            self._connection.heard()
        return None if message is grpc.aio.EOF else message

    async def finish(self) -> None:
        """Reads the end after the last message: for the server the call has ended, and wasn't
        cancelled."""
        if self._call is not None:
            with contextlib.suppress(Broken):
                await self.read(END_SECONDS)

    async def server_version(self) -> str | None:
        return version_in(await settled(self._call.initial_metadata()))

    def close(self, failure: Failure | None = None) -> None:
        """Ends the rpc. After some failures the next one uses another connection."""
        call, connection = self._call, self._connection
        self._call = self._connection = None
        if call is not None:
            call.cancel()
        if connection is not None:
            if failure is not None and connection.seems_dead(failure):
                self._connections.renew(connection)
            self._connections.release(connection)

    def leave(self) -> None:
        """Ends the rpc, which its caller has cancelled."""
        connection = self._connection
        if connection is not None and connection.was_silent():
            self._connections.renew(connection)
        self.close()

    def abandon(self) -> None:
        """Ends the rpc of a stream that was collected, perhaps by another thread."""
        if self._call is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, and the rpc with it.
                self._loop.call_soon_threadsafe(self.close)


class _AsyncStream:
    """What both kinds of streams share: one rpc after the other, until the end."""

    def __init__(
        self,
        core: AioCore,
        following: Following | FollowingAll,
        timeout: Seconds | None,
    ) -> None:
        self._core = core
        self._open_call = _OpenCall(core.connections)
        self._attempts = Attempts(
            retry=core.retry,
            on_reconnect=core.on_reconnect,
            subject=following,
            timeout=timeout,
            has_end=isinstance(following, Following),
        )
        self._rpc = ""
        self._token: str | None = None
        self._is_over = False
        self._finalizer = weakref.finalize(self, self._open_call.abandon)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the stream; a match goes on. Closing twice is fine."""
        self._close()

    def _close(self) -> None:
        self._is_over = True
        self._open_call.close()

    async def _next(self, following: Following | FollowingAll) -> pb.MatchUpdate | None:
        """The next update for the caller; None at the end of the stream."""
        try:
            while not self._is_over:
                try:
                    self._attempts.check_deadline()
                    update = await self._receive(following)
                    if update is None:
                        if await self._is_complete(following):
                            break
                        raise Broken(Failure.broken("the stream ended before the match did"))
                    if self._take(following, update):
                        return update
                except Broken as broken:
                    await asyncio.sleep(await self._recover(following, broken))
        except asyncio.CancelledError:
            self._open_call.leave()
            self._close()
            raise
        except BaseException:
            self._close()
            raise
        self._close()
        return None

    async def _receive(self, following: Following | FollowingAll) -> pb.MatchUpdate | None:
        is_new = not self._open_call.is_open
        if is_new:
            self._token = await self._core.token.read_async()
            next_call = following.next_call()
            self._rpc = next_call.rpc
            self._attempts.outage.opened()
            left = self._attempts.remaining()
            self._open_call.open(self._core, next_call, self._token, left)
        is_upload = is_new and self._rpc == "RunMatch"
        update = await self._open_call.read(self._core.silence.limit(is_upload=is_upload))
        if update is not None:
            self._attempts.outage.message(self._attempts.now())
            self._core.silence.note(update)
            if is_new:
                self._core.note_version(await self._open_call.server_version())
        return update

    def _take(self, following: Following | FollowingAll, update: pb.MatchUpdate) -> bool:
        is_progress, is_for_caller = following.take(update)
        if is_progress:
            self._attempts.outage.progress()
        return is_for_caller

    async def _is_complete(self, following: Following | FollowingAll) -> bool:
        """Looks at the match, since its stream ended without an ending update."""
        self._open_call.close()
        if isinstance(following, FollowingAll):
            return False
        return following.ends_with(await self._look(following))

    async def _look(self, following: Following) -> pb.Match:
        limit, is_callers = shorter(self._attempts.remaining(), self._core.limits.call_timeout)
        request, token = following.match_reference(), await self._core.token.read_async()
        try:
            match: pb.Match = await self._core.call_once(
                "GetMatch", request, limit, token, is_own_limit=not is_callers
            )
        except Broken as broken:
            failure = own_limit(broken.failure, is_callers=is_callers)
            raise Broken(failure) from broken.__cause__
        return match

    async def _recover(self, following: Following | FollowingAll, broken: Broken) -> float:
        """The pause before the next try; raises if there is none."""
        failure = broken.failure
        self._open_call.close(failure)
        try:
            if self._core.connections.is_closed:
                raise self._attempts.cancelled_error("the client was closed")
            if isinstance(following, Following):
                following.acceptance.failed(failure)
            may_pass = await self._may_pass(following, failure)
            return self._attempts.pause_after(failure, rpc=self._rpc, may_pass=may_pass)
        except FaceMatchError as error:
            raise error from broken.__cause__

    async def _may_pass(self, following: Following | FollowingAll, failure: Failure) -> bool:
        if failure.reason == "CREDENTIAL_EXPIRED" and self._core.token.can_change:
            return await self._core.token.read_async() != self._token
        if isinstance(following, FollowingAll) and following.restarts_after(failure):
            return True
        return failure.may_pass


class AsyncMatchStream(_AsyncStream, AsyncIterator[pb.MatchUpdate]):
    """The updates of one match, each durable one once and in order, across broken connections.

    Nothing is sent before the first ``anext``. The iterator ends after the match's last update,
    also if the match FAILED. An async context manager: leaving it ends the stream, and the match
    goes on. Cancelling the task that reads ends the stream as well.
    """

    def __init__(self, core: AioCore, following: Following, timeout: Seconds | None) -> None:
        super().__init__(core, following, timeout)
        self._following = following

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.MatchUpdate:
        if self._following.has_ended:
            await self._open_call.finish()
            self._close()
        update = await self._next(self._following)
        if update is None:
            raise StopAsyncIteration
        return update

    def __repr__(self) -> str:
        ids = f"match_id={self.match_id!r}, request_id={self.request_id!r}"
        return f"<facematch.AsyncMatchStream {ids}>"

    @property
    def request_id(self) -> str | None:
        """The caller's id of the match: known before anything is sent. None if the stream watches
        by match_id."""
        return self._following.request_id

    @property
    def match_id(self) -> str | None:
        """The server's id of the match; None before the first update."""
        return self._following.match_id

    @property
    def match_continues(self) -> bool:
        """Whether the match may go on without the stream: it was accepted, or may have been, and
        hasn't ended yet."""
        return self._following.match_continues

    @property
    def match(self) -> pb.Match | None:
        """The match as of the last update; None before the first one."""
        return self._following.match

    async def verdict(self) -> Verdict:
        """Reads the rest of the stream and returns the verdict.

        Raises :class:`~facematch.MatchFailedError` or :class:`~facematch.MatchCancelledError` if
        there is none.
        """
        async for _ in self:
            pass
        match = self._following.match
        if match is None or not self._following.has_ended:
            raise CallCancelledError("the stream was closed before the match had ended")
        return verdict_of(match)


class AsyncAllMatchesStream(_AsyncStream, AsyncIterator[pb.MatchUpdate]):
    """The updates of all matches of the caller, across broken connections. It doesn't end by
    itself: leave the loop, or call :meth:`aclose`.

    The next ``anext`` says that the caller is done with the update that it has: only then does
    :attr:`resume_token` move past it.
    """

    def __init__(self, core: AioCore, following: FollowingAll, timeout: Seconds | None) -> None:
        super().__init__(core, following, timeout)
        self._following = following

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.MatchUpdate:
        self._following.finished()
        update = await self._next(self._following)
        if update is None:
            raise StopAsyncIteration
        return update

    def __repr__(self) -> str:
        return "<facematch.AsyncAllMatchesStream>"

    @property
    def resume_token(self) -> str:
        """The token after the last update that the caller is done with, heartbeats included. Store
        it, and ``watch_all(resume_token=…)`` continues after a restart."""
        return self._following.token

    def done(self) -> None:
        """Says that the caller is done with the update that it has, before the next one."""
        self._following.finished()
