"""The classes of errors that don't belong to one reason.

No error shows a photo, a label, a token or a key. All errors can be pickled, so that they cross
processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from facematch.v1 import face_match_pb2 as pb


@dataclass(frozen=True)
class FieldViolation:
    """A field of the request that the server refused."""

    field: str
    description: str


class FaceMatchError(Exception):
    """The base of all errors of this package."""

    #: The sentence of the error, without its reason and code.
    message: str
    #: The name of a gRPC status code, such as ``NOT_FOUND``; None where there is none.
    code: str | None
    #: The service's word for the cause, such as ``MATCH_NOT_FOUND``; None where there is none. It
    #: may be a word that this version doesn't know.
    reason: str | None
    #: Variable parts of the reason.
    metadata: Mapping[str, str]
    #: The delay in seconds that the server asked for.
    retry_after: float | None
    #: All fields that the server refused.
    field_violations: tuple[FieldViolation, ...]
    #: The id with which a match can be run again or looked up.
    request_id: str | None
    match_id: str | None
    #: Whether a match may go on although the call failed; None for other calls.
    match_continues: bool | None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        field_violations: Sequence[FieldViolation] = (),
        request_id: str | None = None,
        match_id: str | None = None,
        match_continues: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = MappingProxyType(dict(metadata or {}))
        self.retry_after = retry_after
        self.field_violations = tuple(field_violations)
        self.request_id = request_id
        self.match_id = match_id
        self.match_continues = match_continues

    def __str__(self) -> str:
        name = self.reason or self.code
        text = f"{name}: {self.message}" if name else self.message
        for violation in self.field_violations:
            text += f"; {violation.field}: {violation.description}"
        if self.match_continues:
            known = f"request_id {self.request_id}" if self.request_id else self.match_id
            text += f" (the match may go on: {known})"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Callable[..., FaceMatchError], tuple[Any, ...]]:
        return _rebuild, (type(self), self.message, self._parts())

    def _parts(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "reason": self.reason,
            "metadata": dict(self.metadata),
            "retry_after": self.retry_after,
            "field_violations": self.field_violations,
            "request_id": self.request_id,
            "match_id": self.match_id,
            "match_continues": self.match_continues,
        }


def _rebuild(kind: type[FaceMatchError], message: str, parts: dict[str, Any]) -> FaceMatchError:
    return kind(message, **parts)


class UsageError(FaceMatchError, ValueError):
    """The library refused arguments or settings, and sent nothing."""


class CallRefusedError(FaceMatchError):
    """The server refused the call and would refuse it again.

    Each reason that this version knows has a subclass. ``cause`` of the exception is gRPC's error.
    """


class DeadlineError(FaceMatchError, TimeoutError):
    """The caller's timeout has passed. It limits the call: a match that was accepted goes on."""


class CallCancelledError(FaceMatchError):
    """The caller cancelled the call, or closed the client. A match that was accepted goes on."""


class GaveUpError(FaceMatchError, ConnectionError):
    """No retry is left, by :class:`facematch.Retry`. Code and reason are the last error's."""


class ContractError(FaceMatchError):
    """The server broke the contract, or speaks a later version of it that this one can't follow."""


class NoVerdictError(FaceMatchError):
    """The match has ended without a verdict."""

    #: The match as it ended.
    match: pb.Match

    def __init__(self, message: str, *, match: pb.Match | None = None, **parts: Any) -> None:
        super().__init__(message, **parts)
        self.match = match if match is not None else pb.Match()

    def _parts(self) -> dict[str, Any]:
        return super()._parts() | {"match": self.match}


class MatchFailedError(NoVerdictError):
    """The match FAILED. Each reason that this version knows has a subclass."""

    #: Whether a new match, with a new request_id, may succeed without any other change.
    retryable: bool

    def __init__(self, message: str, *, retryable: bool = False, **parts: Any) -> None:
        super().__init__(message, **parts)
        self.retryable = retryable

    def _parts(self) -> dict[str, Any]:
        return super()._parts() | {"retryable": self.retryable}


class MatchCancelledError(NoVerdictError):
    """A caller cancelled the match."""
