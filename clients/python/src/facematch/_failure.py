"""How a call failed: what gRPC's error says, and whether a repeat may help.

It makes no call, and reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from facematch._error_types import CallRefusedError, FaceMatchError, FieldViolation
from facematch._reasons import CALL_REASONS

_DOMAIN = "facematch"
_DETAILS = "grpc-status-details-bin"
_PUSHBACK = "grpc-retry-pushback-ms"

# What transports say of a broken connection, each library and each proxy in its own way.
_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)

# How a call may fail although the server has carried it out.
_UNSETTLED = _BROKEN | {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.DATA_LOSS}

# Reasons with such a code that say that the call had no effect.
_WITHOUT_EFFECT = frozenset({"SERVER_DRAINING", "AUDIT_UNAVAILABLE"})


@dataclass(frozen=True)
class Failure:
    """The error of one call."""

    code: grpc.StatusCode
    message: str
    #: The service's own word; None if the transport, a proxy or this library speaks.
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: The delay that the server asks for, in seconds.
    retry_after: float | None = None
    #: Whether the server asks for no repeat.
    is_final: bool = False
    violations: tuple[FieldViolation, ...] = ()
    #: Whether the library itself took the connection for dead.
    is_silence: bool = False

    @classmethod
    def of(cls, error: grpc.RpcError) -> Failure:
        """Reads the error of a call, details and trailers included."""
        code, message, trailers = _parts(error)
        details = _Details.read(trailers)
        delay, is_final = details.retry_after, False
        if delay is None:
            delay, is_final = _pushback(trailers)
        return cls(
            code=code,
            message=message,
            reason=details.reason,
            metadata=details.metadata,
            retry_after=delay,
            is_final=is_final,
            violations=details.violations,
        )

    @classmethod
    def broken(cls, message: str, *, is_silence: bool = False) -> Failure:
        """A call that the library itself takes for broken."""
        return cls(code=grpc.StatusCode.UNAVAILABLE, message=message, is_silence=is_silence)

    @property
    def is_timeout(self) -> bool:
        """Whether the call's own time limit has passed without a word of the server."""
        is_deadline = self.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return is_deadline and self.reason is None and self.retry_after is None

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later."""
        if self.is_final:
            return False
        if self.reason is None:
            return self.code in _BROKEN
        return self.retry_after is not None or self.code is grpc.StatusCode.UNAVAILABLE

    @property
    def may_have_acted(self) -> bool:
        """Whether the server may have carried out the call nevertheless."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # Without a reason it is the limit of this client, which may have met the answer.
            return self.reason is None
        return self.code in _UNSETTLED and self.reason not in _WITHOUT_EFFECT

    def error(
        self,
        *,
        kind: type[FaceMatchError] | None = None,
        message: str | None = None,
        request_id: str | None = None,
        match_id: str | None = None,
        match_continues: bool | None = None,
    ) -> FaceMatchError:
        """The error to raise; by default, of the class of its reason."""
        by_reason = CALL_REASONS.get(self.reason or "", CallRefusedError)
        return (kind or by_reason)(
            self.message if message is None else message,
            code=self.code.name,
            reason=self.reason,
            metadata=self.metadata,
            retry_after=self.retry_after,
            field_violations=self.violations,
            request_id=request_id,
            match_id=match_id,
            match_continues=match_continues,
        )


@dataclass
class _Details:
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    violations: tuple[FieldViolation, ...] = ()

    @classmethod
    def read(cls, trailers: Mapping[str, str | bytes]) -> _Details:
        """The service's details; nothing if there are none, or if they can't be read."""
        read = cls()
        packed = trailers.get(_DETAILS)
        if not isinstance(packed, bytes):
            return read
        try:
            for detail in status_pb2.Status.FromString(packed).details:
                read._take(detail)
        except DecodeError:
            return cls()
        # Another service's delay is kept, its words are not.
        return read

    def _take(self, detail: object) -> None:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        request = error_details_pb2.BadRequest()
        if detail.Unpack(info):  # type: ignore[attr-defined]
            if info.domain == _DOMAIN:
                self.reason, self.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):  # type: ignore[attr-defined]
            delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            self.retry_after = max(delay, 0.0)
        elif detail.Unpack(request):  # type: ignore[attr-defined]
            self.violations = tuple(
                FieldViolation(it.field, it.description) for it in request.field_violations
            )


def _parts(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, Mapping[str, str | bytes]]:
    # A sync error is a grpc.Call, an asyncio one an AioRpcError: both have these three.
    code, details, trailing = (
        getattr(error, name, lambda: None)() for name in ("code", "details", "trailing_metadata")
    )
    if not isinstance(code, grpc.StatusCode):
        code = grpc.StatusCode.UNKNOWN
    return code, details or "", _as_mapping(trailing or ())


def _as_mapping(metadata: Iterable[tuple[str, str | bytes]]) -> Mapping[str, str | bytes]:
    return dict(metadata)


def _pushback(trailers: Mapping[str, str | bytes]) -> tuple[float | None, bool]:
    """The delay of the pushback trailer, in seconds, and whether it forbids a repeat."""
    text = trailers.get(_PUSHBACK)
    if text is None:
        return None, False
    try:
        delay = int(text)
    except ValueError:
        return None, True
    return (None, True) if delay < 0 else (delay / 1000, False)
