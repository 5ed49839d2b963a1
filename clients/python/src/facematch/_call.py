"""What one call of a verb knows, over all its retries: the deadline, the outage, how it fails.

It makes no call and doesn't sleep, so both clients share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypedDict

import grpc

from facematch._failure import Failure
from facematch._requests import Seconds, seconds
from facematch._resume import Acceptance, Outage
from facematch._settings import OnReconnect, Reconnect, Retry
from facematch.errors import CallCancelledError, DeadlineError, FaceMatchError, GaveUpError


class Subject(Protocol):
    """The match that a call is about, as far as it is about one."""

    @property
    def request_id(self) -> str | None: ...
    @property
    def match_id(self) -> str | None: ...
    @property
    def match_continues(self) -> bool | None: ...


class Named:
    """The match that a unary call names or creates."""

    def __init__(
        self,
        *,
        request_id: str | None = None,
        match_id: str | None = None,
        acceptance: Acceptance | None = None,
    ) -> None:
        self.request_id = request_id
        self.match_id = match_id
        self.acceptance = acceptance

    @property
    def match_continues(self) -> bool | None:
        return None if self.acceptance is None else self.acceptance.may_be


class _Ids(TypedDict):
    request_id: str | None
    match_id: str | None
    match_continues: bool | None


class Attempts:
    """The tries of one call of a verb."""

    def __init__(
        self,
        *,
        retry: Retry,
        on_reconnect: OnReconnect | None,
        subject: Subject,
        timeout: Seconds | None,
        has_end: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_reconnect = on_reconnect
        self._subject = subject
        self._clock = clock
        self._deadline = None if timeout is None else clock() + seconds(timeout)
        self.outage = Outage(retry, has_end=has_end)

    def now(self) -> float:
        return self._clock()

    def remaining(self) -> float | None:
        """The time to the caller's deadline, in seconds; None without one."""
        return None if self._deadline is None else self._deadline - self._clock()

    def check_deadline(self) -> None:
        """Raises once the caller's deadline has passed."""
        left = self.remaining()
        if left is not None and left <= 0:
            raise self.deadline_error(None)

    def pause_after(self, failure: Failure, *, rpc: str, may_pass: bool | None = None) -> float:
        """The pause before the next try, in seconds, of which the caller is told; raises the error
        of the call if there is no further try."""
        if may_pass is None:
            may_pass = failure.may_pass
        if self._is_deadline(failure):
            raise self.deadline_error(failure)
        if not may_pass:
            raise self._error(failure)
        pause = self.outage.pause(failure, self._clock())
        if pause is None:
            raise self._gave_up(failure)
        left = self.remaining()
        if left is not None and pause >= left:
            raise self.deadline_error(failure)
        self._tell(failure, pause, rpc)
        return pause

    def deadline_error(self, last: Failure | None) -> FaceMatchError:
        """The error of a call whose deadline has passed, or would pass during a pause."""
        message = "the caller's timeout has passed"
        if last is not None and last.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            message += f"; before that: {last.reason or last.code.name}: {last.message}"
        return DeadlineError(
            message,
            code=grpc.StatusCode.DEADLINE_EXCEEDED.name,
            **self._ids(self._subject.match_continues),
        )

    def cancelled_error(self, message: str) -> FaceMatchError:
        return CallCancelledError(
            message,
            code=grpc.StatusCode.CANCELLED.name,
            **self._ids(self._subject.match_continues),
        )

    def _is_deadline(self, failure: Failure) -> bool:
        is_deadline = failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return is_deadline and failure.retry_after is None and self._deadline is not None

    def _gave_up(self, failure: Failure) -> FaceMatchError:
        continues = self._subject.match_continues
        message = f"no retry is left; the last error: {failure.message}"
        return failure.error(kind=GaveUpError, message=message, **self._ids(continues))

    def _error(self, failure: Failure) -> FaceMatchError:
        continues = self._subject.match_continues
        if failure.reason == "MATCH_NOT_FOUND" and continues is not None:
            continues = False
        return failure.error(**self._ids(continues))

    def _tell(self, failure: Failure, pause: float, rpc: str) -> None:
        if self._on_reconnect is None:
            return
        told = Reconnect(
            attempt=self.outage.tries,
            error=self._error(failure),
            wait=pause,
            rpc=rpc,
            match_id=self._subject.match_id,
            request_id=self._subject.request_id,
        )
        self._on_reconnect(told)

    def _ids(self, match_continues: bool | None) -> _Ids:
        return {
            "request_id": self._subject.request_id,
            "match_id": self._subject.match_id,
            "match_continues": match_continues,
        }


def shorter(left: float | None, try_limit: float | None) -> tuple[float | None, bool]:
    """The time limit of one try, and whether it is the caller's."""
    if left is None:
        return try_limit, False
    if try_limit is None or left <= try_limit:
        return max(left, 0.0), True
    return try_limit, False


def own_limit(failure: Failure, *, is_callers: bool) -> Failure:
    """The failure of a try. If the library's own time limit has passed, the call is broken; the
    caller's deadline stays as it is."""
    if failure.is_timeout and not is_callers:
        return Failure.broken("the server has not answered")
    return failure
