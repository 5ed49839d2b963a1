"""The asyncio client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from facematch import _requests as requests
from facematch._aio_connections import AioChannelConnections, AioConnections
from facematch._aio_streams import AsyncAllMatchesStream, AsyncMatchStream, settled
from facematch._call import Attempts, Named, own_limit, shorter
from facematch._client import CREATE_FACTOR, Settings, deleted
from facematch._failure import Failure
from facematch._photo import PhotoLike
from facematch._requests import LivenessPolicy, Seconds, State
from facematch._resume import ENDS, Acceptance, Following, FollowingAll, OnExpired
from facematch._settings import Endpoint, Limits, OnReconnect, Retry, bearer_allowed, metadata_of
from facematch._streams import Broken, version_in
from facematch._tokens import Token, TokenSource
from facematch._verdict import Deleted, Verdict
from facematch.errors import FaceMatchError
from facematch.v1 import face_match_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Self


class AioCore(Settings):
    """The part of a client that its streams use, so that they don't keep the client alive."""

    def __init__(self, connections: AioConnections, **settings: Any) -> None:
        super().__init__(**settings)
        self.connections = connections

    async def call_once(
        self,
        rpc: str,
        request: Any,
        limit: float | None,
        token: str | None,
        *,
        is_own_limit: bool,
    ) -> Any:
        """One try of a unary call. ``is_own_limit``: the limit is the library's own."""
        connection = self.connections.acquire()
        call: Any = None
        try:
            method = getattr(connection.stub, rpc)
            call = method(request, timeout=limit, metadata=self.metadata(token))
            answer = await settled(call)
            connection.heard()
            self.note_version(version_in(await settled(call.initial_metadata())))
            return answer
        except Broken as broken:
            if connection.seems_dead(broken.failure, is_own_limit=is_own_limit):
                self.connections.renew(connection)
            raise
        except asyncio.CancelledError:
            if connection.was_silent():
                self.connections.renew(connection)
            raise
        finally:
            if call is not None:
                call.cancel()
            self.connections.release(connection)


class AsyncClient:
    """A client of FaceMatch for asyncio, with the verbs of :class:`Client`.

    Each event loop in which it is used gets a connection of its own.

    ``target`` is ``HOST:PORT``, a URL with ``http://`` or ``https://``, or any other target of
    gRPC. It connects with TLS, except for an address on this machine and for ``plaintext=True``,
    and at the first call.

    ``token`` is a bearer token, or a function or coroutine function that returns one and is asked
    for each call; ``token_file`` is read for each call. ``metadata`` goes with every call.
    ``on_reconnect`` is called with a :class:`Reconnect` before each retry. ``channel_options`` are
    gRPC's own.

    All verbs repeat broken calls by themselves, by :class:`Retry`. ``timeout`` limits a verb, all
    its retries included, and never the match. Errors are subclasses of
    :class:`~facematch.FaceMatchError`.
    """

    def __init__(
        self,
        target: str,
        *,
        plaintext: bool | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        cert_file: str | os.PathLike[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
        server_name: str | None = None,
        token: TokenSource = None,
        token_file: str | os.PathLike[str] | None = None,
        allow_plaintext_token: bool = False,
        metadata: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        retry: Retry | None = None,
        limits: Limits | None = None,
        on_reconnect: OnReconnect | None = None,
        channel_options: Iterable[tuple[str, Any]] = (),
    ) -> None:
        limits = limits or Limits()
        endpoint = Endpoint.parse(
            target,
            plaintext=plaintext,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            server_name=server_name,
            limits=limits,
            options=channel_options,
        )
        source = Token(token, token_file)
        if source.is_set:
            bearer_allowed(endpoint, allow_plaintext_token)
        self._begin(
            endpoint.target,
            AioCore(
                AioChannelConnections(endpoint),
                token=source,
                headers=metadata_of(metadata),
                retry=retry or Retry(),
                limits=limits,
                on_reconnect=on_reconnect,
            ),
        )

    def _begin(self, target: str, core: AioCore) -> None:
        self._target = target
        self._core = core

    def __repr__(self) -> str:
        return f"<facematch.AsyncClient {self._target!r}>"

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
        """Ends the calls of the running loop and closes its connection. Matches go on. Closing
        twice is fine."""
        await self._core.connections.aclose()

    @property
    def server_version(self) -> str | None:
        """The server's version, as its last answer said; None before the first answer."""
        return self._core.server_version

    async def match(
        self,
        folder_id: str,
        photo: PhotoLike,
        *,
        request_id: str | None = None,
        match_timeout: Seconds | None = None,
        liveness_policy: LivenessPolicy | None = None,
        liveness_media_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        timeout: Seconds | None = None,
    ) -> Verdict:
        """Runs a match and returns its verdict: DECLINED and OPERATOR_REQUIRED are verdicts too.

        Raises :class:`~facematch.MatchFailedError` or :class:`~facematch.MatchCancelledError` if
        the match ended without one. With a ``request_id`` that is stored before, a crash of the
        caller can't double the match; without one, the client makes one, which errors show.
        ``match_timeout`` limits the match, ``timeout`` this call; the other arguments are the
        fields of ``MatchRequest``.
        """
        request = requests.match_request(
            folder_id,
            photo,
            request_id=request_id,
            match_timeout=match_timeout,
            liveness_policy=liveness_policy,
            liveness_media_ids=liveness_media_ids,
            labels=labels,
        )
        async with AsyncMatchStream(self._core, Following(run=request), timeout) as stream:
            return await stream.verdict()

    def run(
        self,
        folder_id: str,
        photo: PhotoLike,
        *,
        request_id: str | None = None,
        match_timeout: Seconds | None = None,
        liveness_policy: LivenessPolicy | None = None,
        liveness_media_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        include_progress: bool = False,
        include_heartbeats: bool = False,
        timeout: Seconds | None = None,
    ) -> AsyncMatchStream:
        """Runs a match and returns its updates. The stream shows its ``request_id`` before anything
        is sent."""
        request = requests.match_request(
            folder_id,
            photo,
            request_id=request_id,
            match_timeout=match_timeout,
            liveness_policy=liveness_policy,
            liveness_media_ids=liveness_media_ids,
            labels=labels,
            include_progress=include_progress,
        )
        following = Following(run=request, heartbeats=include_heartbeats)
        return AsyncMatchStream(self._core, following, timeout)

    async def create(
        self,
        folder_id: str,
        photo: PhotoLike,
        *,
        request_id: str | None = None,
        match_timeout: Seconds | None = None,
        liveness_policy: LivenessPolicy | None = None,
        liveness_media_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        timeout: Seconds | None = None,
    ) -> pb.Match:
        """Starts a match and returns once a crash of the server can't lose its photo any more."""
        request = requests.match_request(
            folder_id,
            photo,
            request_id=request_id,
            match_timeout=match_timeout,
            liveness_policy=liveness_policy,
            liveness_media_ids=liveness_media_ids,
            labels=labels,
        )
        acceptance = Acceptance(accepted=False)
        named = Named(request_id=request.request_id, acceptance=acceptance)
        calls = _AioUnary(self._core, "CreateMatch", named, timeout)
        answer: pb.Match = await calls.until_answer(
            request, try_limit=CREATE_FACTOR * self._core.limits.call_timeout
        )
        return answer

    async def get(
        self,
        match_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: Seconds | None = None,
    ) -> pb.Match:
        """Returns a match in its present state."""
        name = requests.match_name(match_id, request_id)
        answer: pb.Match = await self._read("GetMatch", pb.GetMatchRequest(**name), name, timeout)
        return answer

    async def wait(
        self,
        match_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: Seconds | None = None,
    ) -> pb.Match:
        """Waits until a match has ended, and returns it. Raises
        :class:`~facematch.DeadlineError` if the timeout passes before."""
        name = requests.match_name(match_id, request_id)
        named = Named(**name, acceptance=Acceptance(accepted=True))
        calls = _AioUnary(self._core, "WaitMatch", named, timeout)
        step, margin = self._core.limits.wait_step, self._core.limits.call_timeout
        while True:
            left = calls.attempts.remaining()
            asked = step if left is None else max(0.0, min(step, left))
            request = pb.WaitMatchRequest(**name, timeout=requests.duration(asked))
            match: pb.Match = await calls.until_answer(request, try_limit=asked + margin)
            if match.state in ENDS or match.state not in pb.MatchState.values():
                return match
            calls.attempts.outage.progress()
            calls.attempts.check_deadline()

    def watch(
        self,
        match_id: str | None = None,
        *,
        request_id: str | None = None,
        after_sequence: int = 0,
        include_progress: bool = False,
        include_heartbeats: bool = False,
        timeout: Seconds | None = None,
    ) -> AsyncMatchStream:
        """Returns the updates of a match after a sequence, stored ones first, then live ones."""
        request = pb.WatchMatchRequest(
            **requests.match_name(match_id, request_id),
            after_sequence=after_sequence,
            include_progress=include_progress,
        )
        following = Following(watch=request, heartbeats=include_heartbeats)
        return AsyncMatchStream(self._core, following, timeout)

    def watch_all(
        self,
        *,
        resume_token: str = "",
        folder_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_expired: OnExpired = "raise",
        include_heartbeats: bool = False,
        timeout: Seconds | None = None,
    ) -> AsyncAllMatchesStream:
        """Returns the updates of all matches, or of those that the filters select.

        It begins now, at the oldest retained update (``resume_token="earliest"``), or after a
        stored token. ``on_expired`` says what an expired token does: ``raise``
        :class:`~facematch.TokenExpiredError`, begin again from the ``earliest`` update, or from
        ``now``.
        """
        request = pb.WatchMatchesRequest(
            resume_token=resume_token, folder_id=folder_id or "", labels=labels
        )
        following = FollowingAll(request, on_expired=on_expired, heartbeats=include_heartbeats)
        return AsyncAllMatchesStream(self._core, following, timeout)

    def list(
        self,
        *,
        folder_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        states: Iterable[State] = (),
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
        timeout: Seconds | None = None,
    ) -> AsyncIterator[pb.Match]:
        """Returns matches, newest first; it asks for further pages while it is read. ``timeout``
        limits each page."""
        request = requests.list_request(
            folder_id=folder_id,
            labels=labels,
            states=states,
            created_after=created_after,
            created_before=created_before,
            page_size=page_size,
        )
        return self._pages(request, timeout)

    async def _pages(
        self, request: pb.ListMatchesRequest, timeout: Seconds | None
    ) -> AsyncIterator[pb.Match]:
        while True:
            page: pb.ListMatchesResponse = await self._read("ListMatches", request, {}, timeout)
            for match in page.matches:
                yield match
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel(
        self,
        match_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: Seconds | None = None,
    ) -> pb.Match:
        """Ends a match as CANCELLED. A match that is cancelled already is returned as it is."""
        name = requests.match_name(match_id, request_id)
        answer: pb.Match = await self._read(
            "CancelMatch", pb.CancelMatchRequest(**name), name, timeout
        )
        return answer

    async def delete(
        self,
        match_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: Seconds | None = None,
    ) -> Deleted:
        """Erases a match that has ended. If a try failed that the server may have acted on, and the
        repeat finds no match any more, it was erased: ``already_gone`` says so."""
        name = requests.match_name(match_id, request_id)
        calls = _AioUnary(self._core, "DeleteMatch", Named(**name), timeout, is_short=True)
        try:
            answer: pb.DeleteMatchResponse = await calls.until_answer(pb.DeleteMatchRequest(**name))
        except FaceMatchError as error:
            if error.reason == "MATCH_NOT_FOUND" and calls.may_have_acted:
                return Deleted(match_id or "", "", None, already_gone=True)
            raise
        return deleted(answer)

    async def _read(
        self, rpc: str, request: Any, name: requests.MatchId, timeout: Seconds | None
    ) -> Any:
        calls = _AioUnary(self._core, rpc, Named(**name), timeout, is_short=True)
        return await calls.until_answer(request)


class _AioUnary:
    """A unary call, with its retries."""

    def __init__(
        self,
        core: AioCore,
        rpc: str,
        named: Named,
        timeout: Seconds | None,
        *,
        is_short: bool = False,
    ) -> None:
        """``is_short``: without a timeout of the caller, the limit of reads holds for all tries."""
        self._core = core
        self._rpc = rpc
        self._named = named
        self._has_own_limit = is_short and timeout is None
        self.attempts = Attempts(
            retry=core.retry,
            on_reconnect=core.on_reconnect,
            subject=named,
            timeout=core.limits.call_timeout if self._has_own_limit else timeout,
        )
        #: Whether the server may have acted on a try that failed.
        self.may_have_acted = False

    async def until_answer(self, request: Any, *, try_limit: float | None = None) -> Any:
        """Repeats the call until it is answered. A try that takes longer than ``try_limit`` is
        repeated over another connection."""
        while True:
            self.attempts.check_deadline()
            token = await self._core.token.read_async()
            if self._named.acceptance is not None:
                self._named.acceptance.sending()
            limit, is_callers = shorter(self.attempts.remaining(), try_limit)
            try:
                is_own = self._has_own_limit or not is_callers
                answer = await self._core.call_once(
                    self._rpc, request, limit, token, is_own_limit=is_own
                )
            except Broken as broken:
                failure = own_limit(broken.failure, is_callers=is_callers)
                await asyncio.sleep(await self._pause(failure, token, broken.__cause__))
                continue
            if self._named.acceptance is not None:
                self._named.acceptance.accepted()
            return answer

    async def _pause(
        self, failure: Failure, token: str | None, cause: BaseException | None
    ) -> float:
        if self._named.acceptance is not None:
            self._named.acceptance.failed(failure)
        may_pass = failure.may_pass
        if failure.reason == "CREDENTIAL_EXPIRED" and self._core.token.can_change:
            may_pass = await self._core.token.read_async() != token
        if failure.may_have_acted:
            self.may_have_acted = True
        try:
            if self._core.connections.is_closed:
                raise self.attempts.cancelled_error("the client was closed")
            return self.attempts.pause_after(failure, rpc=self._rpc, may_pass=may_pass)
        except FaceMatchError as error:
            raise error from cause
