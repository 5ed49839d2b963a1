"""Streams of the sync client, which resume by themselves."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from facematch._call import Attempts, own_limit, shorter
from facematch._connections import Connection, Connections
from facematch._failure import Failure
from facematch._requests import Seconds
from facematch._resume import Following, FollowingAll, NextCall
from facematch._verdict import Verdict, verdict_of
from facematch._watchdog import Watch
from facematch.errors import CallCancelledError, FaceMatchError
from facematch.v1 import face_match_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Self

    from facematch._client import Core

_VERSION = "facematch-version"

# How long a stream waits for its end after the last update of its match: usually both come at once.
END_SECONDS = 1.0


class _OpenCall:
    """The rpc that a stream has open, if it has one. It ends when the stream is collected."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: Connection | None = None
        self._call: Any = None
        self._watch: Watch | None = None

    @property
    def is_open(self) -> bool:
        return self._call is not None

    def open(self, core: Core, next_call: NextCall, token: str | None, left: float | None) -> None:
        self._connection = self._connections.acquire()
        try:
            method = getattr(self._connection.stub, next_call.rpc)
            metadata = core.metadata(token)
            self._call = method(next_call.request, timeout=left, metadata=metadata)
        except BaseException:
            self.close()
            raise
        self._watch = Watch(self._call.cancel)

    def read(self, limit: float) -> pb.MatchUpdate | None:
        """The next message; None at the end. A silence longer than the limit is a failure."""
        call, watch = self._call, self._watch
        assert watch is not None
        try:
            with watch.limit(limit):
                message: pb.MatchUpdate | None = next(call, None)
        except grpc.RpcError as error:
            if watch.fired:
                raise Broken(silent(limit)) from error
            raise Broken(Failure.of(error)) from error
        if self._connection is not None:
            self._connection.heard()
        return message

    def finish(self) -> None:
        """Reads the end after the last message: for the server the call has ended, and wasn't
        cancelled."""
        if self._call is not None:
            with contextlib.suppress(Broken):
                self.read(END_SECONDS)

    def server_version(self) -> str | None:
        return version_in(self._call.initial_metadata())

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def close(self, failure: Failure | None = None) -> None:
        """Ends the rpc. After some failures the next one uses another connection."""
        call, connection = self._call, self._connection
        self._call = self._connection = self._watch = None
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


class Broken(Exception):
    """A call has failed; its failure says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class _Stream:
    """What both kinds of streams share: one rpc after the other, until the end."""

    def __init__(
        self,
        core: Core,
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
        self._cancelled = threading.Event()
        self._finalizer = weakref.finalize(self, self._open_call.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream; a match goes on. Closing twice is fine."""
        self._is_over = True
        self._finalizer()

    def cancel(self) -> None:
        """Ends the stream from another thread: the waiting one gets a
        :class:`~facematch.CallCancelledError`. A match goes on."""
        self._cancelled.set()
        self._open_call.cancel()

    def _next(self, following: Following | FollowingAll) -> pb.MatchUpdate | None:
        """The next update for the caller; None at the end of the stream."""
        while not self._is_over:
            try:
                self._check()
                update = self._receive(following)
                if update is None:
                    if self._is_complete(following):
                        break
                    raise Broken(Failure.broken("the stream ended before the match did"))
                if self._take(following, update):
                    return update
            except Broken as broken:
                self._recover(following, broken)
            except BaseException:
                self.close()
                raise
        self.close()
        return None

    def _check(self) -> None:
        if self._cancelled.is_set():
            self._open_call.leave()
            raise self._attempts.cancelled_error("the caller cancelled the stream")
        self._attempts.check_deadline()

    def _receive(self, following: Following | FollowingAll) -> pb.MatchUpdate | None:
        is_new = not self._open_call.is_open
        if is_new:
            self._token = self._core.token.read()
            next_call = following.next_call()
            self._rpc = next_call.rpc
            self._attempts.outage.opened()
            left = self._attempts.remaining()
            self._open_call.open(self._core, next_call, self._token, left)
            self._check()
        is_upload = is_new and self._rpc == "RunMatch"
        update = self._open_call.read(self._core.silence.limit(is_upload=is_upload))
        if update is not None:
            self._attempts.outage.message(self._attempts.now())
            self._core.silence.note(update)
            if is_new:
                self._core.note_version(self._open_call.server_version())
        return update

    def _take(self, following: Following | FollowingAll, update: pb.MatchUpdate) -> bool:
        is_progress, is_for_caller = following.take(update)
        if is_progress:
            self._attempts.outage.progress()
        return is_for_caller

    def _is_complete(self, following: Following | FollowingAll) -> bool:
        """Looks at the match, since its stream ended without an ending update."""
        self._open_call.close()
        if isinstance(following, FollowingAll):
            return False
        return following.ends_with(self._look(following))

    def _look(self, following: Following) -> pb.Match:
        limit, is_callers = shorter(self._attempts.remaining(), self._core.limits.call_timeout)
        request, token = following.match_reference(), self._core.token.read()
        try:
            match: pb.Match = self._core.call_once(
                "GetMatch", request, limit, token, is_own_limit=not is_callers
            )
        except grpc.RpcError as error:
            raise Broken(own_limit(Failure.of(error), is_callers=is_callers)) from error
        return match

    def _recover(self, following: Following | FollowingAll, broken: Broken) -> None:
        """Waits before the next try; raises if there is none."""
        failure, cause = broken.failure, broken.__cause__
        is_cancelled = self._cancelled.is_set()
        if is_cancelled:
            self._open_call.leave()
        else:
            self._open_call.close(failure)
        try:
            if is_cancelled:
                raise self._attempts.cancelled_error("the caller cancelled the stream")
            if self._core.connections.is_closed:
                raise self._attempts.cancelled_error("the client was closed")
            if isinstance(following, Following):
                following.acceptance.failed(failure)
            may_pass = self._may_pass(following, failure)
            pause = self._attempts.pause_after(failure, rpc=self._rpc, may_pass=may_pass)
        except FaceMatchError as error:
            self.close()
            raise error from cause
        except BaseException:
            self.close()
            raise
        self._cancelled.wait(pause)

    def _may_pass(self, following: Following | FollowingAll, failure: Failure) -> bool:
        if failure.reason == "CREDENTIAL_EXPIRED" and self._core.token.can_change:
            return self._core.token.read() != self._token
        if isinstance(following, FollowingAll) and following.restarts_after(failure):
            return True
        return failure.may_pass


class MatchStream(_Stream, Iterator[pb.MatchUpdate]):
    """The updates of one match, each durable one once and in order, across broken connections.

    Nothing is sent before the first ``next``. The iterator ends after the match's last update, also
    if the match FAILED. A context manager: leaving it ends the stream, and the match goes on.
    """

    def __init__(self, core: Core, following: Following, timeout: Seconds | None) -> None:
        super().__init__(core, following, timeout)
        self._following = following

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pb.MatchUpdate:
        if self._following.has_ended:
            self._open_call.finish()
            self.close()
        update = self._next(self._following)
        if update is None:
            raise StopIteration
        return update

    def __repr__(self) -> str:
        ids = f"match_id={self.match_id!r}, request_id={self.request_id!r}"
        return f"<facematch.MatchStream {ids}>"

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

    def verdict(self) -> Verdict:
        """Reads the rest of the stream and returns the verdict.

        Raises :class:`~facematch.MatchFailedError` or :class:`~facematch.MatchCancelledError` if
        there is none.
        """
        for _ in self:
            pass
        match = self._following.match
        if match is None or not self._following.has_ended:
            raise CallCancelledError("the stream was closed before the match had ended")
        return verdict_of(match)


class AllMatchesStream(_Stream, Iterator[pb.MatchUpdate]):
    """The updates of all matches of the caller, across broken connections. It doesn't end by
    itself: leave the loop, or call :meth:`close`.

    The next ``next`` says that the caller is done with the update that it has: only then does
    :attr:`resume_token` move past it.
    """

    def __init__(self, core: Core, following: FollowingAll, timeout: Seconds | None) -> None:
        super().__init__(core, following, timeout)
        self._following = following

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pb.MatchUpdate:
        self._following.finished()
        update = self._next(self._following)
        if update is None:
            raise StopIteration
        return update

    def __repr__(self) -> str:
        return "<facematch.AllMatchesStream>"

    @property
    def resume_token(self) -> str:
        """The token after the last update that the caller is done with, heartbeats included. Store
        it, and ``watch_all(resume_token=…)`` continues after a restart."""
        return self._following.token

    def done(self) -> None:
        """Says that the caller is done with the update that it has, before the next one."""
        self._following.finished()


def silent(limit: float) -> Failure:
    """The failure of a stream that said nothing for so many seconds."""
    return Failure.broken(f"the stream was silent for {limit:g} s", is_silence=True)


def version_in(metadata: Any) -> str | None:
    """The server's version in initial metadata."""
    for key, value in metadata or ():
        if key == _VERSION:
            return str(value)
    return None
