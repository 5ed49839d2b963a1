"""The resume algorithm: which call comes next, which messages are new, when to give up.

Pure: it makes no call, doesn't sleep and reads no clock; the streams of both clients do that.
clients/conformance/README.md has the algorithm in words, and its scenarios hold it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from facematch._failure import Failure
from facematch._settings import Limits, Retry
from facematch.errors import ContractError, UsageError
from facematch.v1 import face_match_pb2 as pb

ENDS = frozenset({pb.MATCH_STATE_FINISHED, pb.MATCH_STATE_FAILED, pb.MATCH_STATE_CANCELLED})

_FLEETING = frozenset({"progress", "heartbeat"})

# A stream is dead after this many heartbeat intervals of silence: one heartbeat may be late.
_SILENT_INTERVALS = 3

# A longer delay is a mistake of a server, and no timer takes any number.
_ASKED_LONGEST = 86_400.0

StreamRequest = pb.MatchRequest | pb.WatchMatchRequest | pb.WatchMatchesRequest
OnExpired = Literal["raise", "earliest", "now"]


@dataclass(frozen=True)
class NextCall:
    """The call that a stream makes next."""

    rpc: Literal["RunMatch", "WatchMatch", "WatchMatches"]
    request: StreamRequest


class Silence:
    """How long the streams of a client may be silent. The heartbeats of one tell for all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._interval: float | None = None

    def note(self, update: pb.MatchUpdate) -> None:
        if update.WhichOneof("event") == "heartbeat" and update.heartbeat.HasField("interval"):
            interval = update.heartbeat.interval
            self._interval = interval.seconds + interval.nanos / 1e9

    def limit(self, *, is_upload: bool) -> float:
        """The limit of silence in seconds. During an upload the server has nothing to say yet."""
        unknown = self._limits.silence_unknown
        if self._interval is None:
            return unknown
        known = max(_SILENT_INTERVALS * self._interval, self._limits.silence_least)
        return max(known, unknown) if is_upload else known


class Outage:
    """The retries of one call, and when there is none left. Times are of one monotonic clock."""

    def __init__(
        self,
        retry: Retry,
        *,
        has_end: bool,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._retry = retry
        self._give_up_after = retry.give_up_after if has_end else None
        self._jitter = jitter
        self._since: float | None = None
        self._first_message: float | None = None
        #: Retries in a row without progress.
        self.tries = 0

    def opened(self) -> None:
        """Notes that a call begins."""
        self._first_message = None

    def message(self, now: float) -> None:
        """Notes a message, new or not."""
        if self._first_message is None:
            self._first_message = now

    def progress(self) -> None:
        """Notes something new."""
        self.tries = 0
        self._since = None

    def pause(self, failure: Failure, now: float) -> float | None:
        """The pause before the next retry, in seconds; None if there is no retry left."""
        first = self._first_message
        if first is not None and now - first >= self._retry.longest:
            # The stream worked for a while: this is no outage, but a proxy that limits calls.
            self.progress()
        if self._since is None:
            self._since = now
        if self._retry.tries is not None and self.tries >= self._retry.tries:
            return None
        pause = self._pause(failure.retry_after)
        if self._give_up_after is not None and now + pause - self._since > self._give_up_after:
            return None
        self.tries += 1
        return pause

    def _pause(self, asked: float | None) -> float:
        if asked is not None:
            # Never earlier than asked, and not all callers at once.
            return min(asked, _ASKED_LONGEST) * (1 + self._jitter() / 2)
        longest = min(self._retry.longest, self._retry.first * 2.0 ** min(self.tries, 30))
        return float(longest * self._jitter())


class Acceptance:
    """Whether the server may have accepted a match, as far as its client can know."""

    def __init__(self, *, accepted: bool) -> None:
        self._accepted = accepted
        self._is_sent = False

    def sending(self) -> None:
        """Notes that the request is sent. From here on the match may be accepted."""
        self._is_sent = True

    def accepted(self) -> None:
        """Notes that the server has answered with the match."""
        self._accepted = True

    def failed(self, failure: Failure) -> None:
        """Notes how a try failed."""
        if self._is_sent and failure.may_have_acted:
            self._accepted = True
        self._is_sent = False

    @property
    def may_be(self) -> bool:
        return self._accepted or self._is_sent


class Following:
    """Follows one match, across calls."""

    def __init__(
        self,
        *,
        run: pb.MatchRequest | None = None,
        watch: pb.WatchMatchRequest | None = None,
        heartbeats: bool = False,
    ) -> None:
        self._run = run
        self._watch = watch
        self._heartbeats = heartbeats
        self._seen = watch.after_sequence if watch is not None else 0
        self._photo_there = run is None
        self.request_id = run.request_id if run is not None else None
        self.match_id: str | None = None
        #: The match as of the last durable update; None before the first one.
        self.match: pb.Match | None = None
        self.acceptance = Acceptance(accepted=run is None)
        self.has_ended = False
        if watch is not None:
            self.request_id = watch.request_id or None
            self.match_id = watch.match_id or None

    @property
    def match_continues(self) -> bool:
        return not self.has_ended and self.acceptance.may_be

    def next_call(self) -> NextCall:
        """The call that continues after what was seen."""
        if self._run is not None and not self._photo_there:
            self.acceptance.sending()
            return NextCall("RunMatch", self._run)
        source = self._run if self._run is not None else self._watch
        request = pb.WatchMatchRequest(
            after_sequence=self._seen,
            include_progress=source is not None and source.include_progress,
        )
        if self.match_id is not None:
            request.match_id = self.match_id
        else:
            request.request_id = self.request_id or ""
        return NextCall("WatchMatch", request)

    def match_reference(self) -> pb.GetMatchRequest:
        """The match's name for a look at it."""
        if self.match_id is not None:
            return pb.GetMatchRequest(match_id=self.match_id)
        return pb.GetMatchRequest(request_id=self.request_id or "")

    def take(self, update: pb.MatchUpdate) -> tuple[bool, bool]:
        """Takes a message. Returns whether it is progress, and whether the caller gets it."""
        event = update.WhichOneof("event")
        self.acceptance.accepted()
        if event in _FLEETING:
            return False, event == "progress" or self._heartbeats
        self._follow_id(update)
        if update.sequence <= self._seen:
            return False, False
        if update.sequence != self._seen + 1:
            raise ContractError(
                f"update {update.sequence} came after update {self._seen}",
                request_id=self.request_id,
                match_id=self.match_id,
                match_continues=True,
            )
        self._seen = update.sequence
        self._note(update.match)
        return True, True

    def ends_with(self, match: pb.Match) -> bool:
        """Whether a stream that ended with OK before an ending update was complete, by a look at
        the match."""
        if not self._is_end(match):
            return False
        self.match_id = match.match_id or self.match_id
        self.match = match
        self.has_ended = True
        return True

    def _is_end(self, match: pb.Match) -> bool:
        if match.state in ENDS:
            return match.sequence == self._seen
        return match.state not in pb.MatchState.values()

    def _follow_id(self, update: pb.MatchUpdate) -> None:
        if not update.match_id:
            return
        is_other = self.match_id is not None and self.match_id != update.match_id
        if is_other and self._run is not None and not self._photo_there:
            # The store was lost, and the repeated request made a new match.
            self._seen = 0
        self.match_id = update.match_id

    def _note(self, match: pb.Match) -> None:
        self.match = match
        if match.photo_media_id:
            self._photo_there = True
        self.has_ended = match.state in ENDS


class FollowingAll:
    """Follows all matches that a filter selects, across calls."""

    def __init__(
        self,
        request: pb.WatchMatchesRequest,
        *,
        on_expired: OnExpired,
        heartbeats: bool,
    ) -> None:
        if on_expired not in ("raise", "earliest", "now"):
            raise UsageError("on_expired is raise, earliest or now")
        self._request = request
        self._on_expired = on_expired
        self._heartbeats = heartbeats
        self._known = request.resume_token
        self._pending: str | None = None
        #: The token of the last message that the caller has finished with.
        self.token = request.resume_token

    request_id: str | None = None
    match_id: str | None = None
    match_continues: bool | None = None

    def next_call(self) -> NextCall:
        request = pb.WatchMatchesRequest()
        request.CopyFrom(self._request)
        request.resume_token = self.token
        return NextCall("WatchMatches", request)

    def finished(self) -> None:
        """Notes that the caller is done with the update that it has."""
        if self._pending is not None:
            self.token = self._pending
            self._pending = None

    def take(self, update: pb.MatchUpdate) -> tuple[bool, bool]:
        """Takes a message. Returns whether it is progress, and whether the caller gets it."""
        token = update.resume_token
        is_new = bool(token) and token != self._known
        if token:
            self._known = token
        event = update.WhichOneof("event")
        handed_out = event not in _FLEETING or (event == "heartbeat" and self._heartbeats)
        if token and handed_out:
            self._pending = token
        elif token:
            self.token = token
        return is_new, handed_out

    def restarts_after(self, failure: Failure) -> bool:
        """Whether the caller's policy answers an expired token; moves the token if so."""
        if failure.reason != "TOKEN_EXPIRED" or self._on_expired == "raise":
            return False
        self.token = "earliest" if self._on_expired == "earliest" else ""
        return True
