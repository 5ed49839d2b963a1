"""What a match says in the end. It fails closed: what isn't a known success is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

import grpc

from facematch._error_types import ContractError, MatchCancelledError, MatchFailedError
from facematch._reasons import MATCH_REASONS
from facematch.v1 import face_match_pb2 as pb

__all__ = ["Deleted", "Liveness", "Resolution", "Verdict", "verdict_of"]


class Resolution(str, Enum):
    """The decision of an analysis at Oz."""

    #: Biometry: the same person. Liveness: a living person.
    SUCCESS = "SUCCESS"
    #: Biometry: another person. Liveness: an attack.
    DECLINED = "DECLINED"
    #: Oz leaves the decision to a person. Never for liveness.
    OPERATOR_REQUIRED = "OPERATOR_REQUIRED"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Liveness:
    """The result of the folder's liveness check."""

    #: None if the check failed, or if this version doesn't know its word.
    resolution: Resolution | None
    #: The likelihood of an attack, from 0 to 1; None if Oz gave none.
    confidence_spoofing: float | None
    analysis_id: str

    @property
    def passed(self) -> bool:
        return self.resolution is Resolution.SUCCESS


@dataclass(frozen=True)
class Verdict:
    """Oz's decision about a photo and the liveness media of a folder."""

    resolution: Resolution
    #: The similarity of the least similar pair, from 0 to 1. This number decides.
    min_confidence: float
    #: The similarity of the most similar pair; None if Oz gave none.
    max_confidence: float | None
    #: None if there is no result to report. A verdict doesn't include it: see LivenessPolicy.
    liveness: Liveness | None
    match_id: str
    request_id: str
    #: The match as it ended. Not in the ``repr``, since it has the labels.
    match: pb.Match = field(repr=False)

    @property
    def same_person(self) -> bool:
        """True only for SUCCESS. It says nothing of liveness."""
        return self.resolution is Resolution.SUCCESS

    def __bool__(self) -> bool:
        # Without this, ``if client.match(…):`` would hold for DECLINED.
        raise TypeError("a verdict is neither true nor false: use verdict.same_person")


@dataclass(frozen=True)
class Deleted:
    """A match that is erased."""

    #: Empty if the answer was lost and the match had been named by its request_id.
    match_id: str
    #: Oz's id of the photo, which stays at Oz. Empty if there is none, or if the answer was lost.
    photo_media_id: str
    #: None if the answer was lost.
    delete_time: datetime | None
    #: Whether the answer was lost, and a repeat found no match any more.
    already_gone: bool = False


def verdict_of(match: pb.Match) -> Verdict:
    """The verdict of a match that has ended; an error if there is none."""
    if match.state == pb.MATCH_STATE_FINISHED:
        return _finished(match)
    if match.state == pb.MATCH_STATE_FAILED:
        raise _failed(match)
    if match.state == pb.MATCH_STATE_CANCELLED:
        raise MatchCancelledError(
            "the match was cancelled",
            match=match,
            match_id=match.match_id,
            request_id=match.request_id or None,
            match_continues=False,
        )
    raise _unknown(match, "the match ended in a state that this version doesn't know")


def _finished(match: pb.Match) -> Verdict:
    result = match.result
    resolution = _resolution(result.resolution)
    if resolution is None:
        raise _unknown(match, "the match has no resolution that this version knows")
    if not result.HasField("min_confidence"):
        raise _unknown(match, "the match has a resolution without a score")
    has_max, has_liveness = result.HasField("max_confidence"), result.HasField("liveness")
    return Verdict(
        resolution=resolution,
        min_confidence=result.min_confidence,
        max_confidence=result.max_confidence if has_max else None,
        liveness=_liveness(result.liveness) if has_liveness else None,
        match_id=match.match_id,
        request_id=match.request_id,
        match=match,
    )


def _liveness(wire: pb.LivenessResult) -> Liveness:
    has_score = wire.HasField("confidence_spoofing")
    return Liveness(
        resolution=_resolution(wire.resolution),
        confidence_spoofing=wire.confidence_spoofing if has_score else None,
        analysis_id=wire.analysis_id,
    )


def _resolution(number: int) -> Resolution | None:
    known = {
        pb.RESOLUTION_SUCCESS: Resolution.SUCCESS,
        pb.RESOLUTION_DECLINED: Resolution.DECLINED,
        pb.RESOLUTION_OPERATOR_REQUIRED: Resolution.OPERATOR_REQUIRED,
    }
    return {int(wire): word for wire, word in known.items()}.get(number)


def _failed(match: pb.Match) -> MatchFailedError:
    error = match.error
    return MATCH_REASONS.get(error.reason, MatchFailedError)(
        error.message,
        code=code_name(error.code),
        reason=error.reason or None,
        metadata=dict(error.metadata),
        retryable=error.retryable,
        match=match,
        match_id=match.match_id,
        request_id=match.request_id or None,
        match_continues=False,
    )


def _unknown(match: pb.Match, message: str) -> ContractError:
    return ContractError(
        message,
        match_id=match.match_id,
        request_id=match.request_id or None,
        match_continues=False,
    )


_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def code_name(number: int) -> str:
    """The name of a gRPC status code; the number itself for an unknown one."""
    return _CODES.get(number, str(number))
