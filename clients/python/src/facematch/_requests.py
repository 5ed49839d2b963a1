"""Wire requests from the arguments of the verbs, the same for both clients."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal, TypedDict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from facematch._photo import Photo, PhotoLike
from facematch.errors import UsageError
from facematch.v1 import face_match_pb2 as pb

Seconds = float | timedelta
LivenessPolicy = Literal["report", "require", "run"]
State = Literal["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED", "FAILED", "CANCELLED"]

# A century: no timer takes any number.
_SECONDS_MAX = 100 * 366 * 86_400.0

_POLICIES = {
    None: pb.LIVENESS_POLICY_UNSPECIFIED,
    "report": pb.LIVENESS_POLICY_REPORT,
    "require": pb.LIVENESS_POLICY_REQUIRE,
    "run": pb.LIVENESS_POLICY_RUN,
}


class MatchId(TypedDict, total=False):
    """A match's name, as the arguments of a request."""

    match_id: str
    request_id: str


def new_request_id() -> str:
    """A new id for a match. Store it before the first call, and a crash can't double the match."""
    return str(uuid.uuid4())


def match_request(
    folder_id: str,
    photo: PhotoLike,
    *,
    request_id: str | None,
    match_timeout: Seconds | None,
    liveness_policy: LivenessPolicy | None,
    liveness_media_ids: Iterable[str],
    labels: Mapping[str, str] | None,
    include_progress: bool = False,
) -> pb.MatchRequest:
    """The request of a match, always with a request_id."""
    if liveness_policy not in _POLICIES:
        raise UsageError("the liveness policy is report, require or run")
    if request_id == "":
        raise UsageError("an empty request_id names no match")
    request = pb.MatchRequest(
        request_id=new_request_id() if request_id is None else request_id,
        folder_id=folder_id,
        photo=Photo.of(photo).to_wire(),
        liveness_policy=_POLICIES[liveness_policy],
        liveness_media_ids=_words(liveness_media_ids, "liveness_media_ids"),
        labels=labels,
        include_progress=include_progress,
    )
    if match_timeout is not None:
        request.timeout.CopyFrom(duration(match_timeout))
    return request


def match_name(match_id: str | None, request_id: str | None) -> MatchId:
    """Exactly one of the two ids."""
    if match_id and not request_id:
        return {"match_id": match_id}
    if request_id and not match_id:
        return {"request_id": request_id}
    raise UsageError("a match is named by one id: its match_id or its request_id")


def list_request(
    *,
    folder_id: str | None,
    labels: Mapping[str, str] | None,
    states: Iterable[State],
    created_after: datetime | None,
    created_before: datetime | None,
    page_size: int,
) -> pb.ListMatchesRequest:
    """The request of the first page."""
    request = pb.ListMatchesRequest(
        page_size=page_size,
        folder_id=folder_id or "",
        labels=labels,
        states=[_state(word) for word in _words(states, "states")],
    )
    if created_after is not None:
        request.created_after.CopyFrom(_timestamp(created_after))
    if created_before is not None:
        request.created_before.CopyFrom(_timestamp(created_before))
    return request


def seconds(value: Seconds) -> float:
    """A duration in seconds; 0 or more."""
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= number <= _SECONDS_MAX:
        raise UsageError("a duration is a number of seconds or a timedelta, not below 0")
    return number


def duration(value: Seconds) -> Duration:
    wire = Duration()
    wire.FromTimedelta(timedelta(seconds=seconds(value)))
    return wire


def _timestamp(value: datetime) -> Timestamp:
    if value.tzinfo is None:
        raise UsageError("a time needs a time zone, such as timezone.utc")
    wire = Timestamp()
    wire.FromDatetime(value)
    return wire


def _state(word: str) -> pb.MatchState.ValueType:
    name = f"MATCH_STATE_{word}"
    if name not in pb.MatchState.keys() or word == "UNSPECIFIED":
        raise UsageError("a state is a word such as FINISHED")
    return pb.MatchState.Value(name)


def _words(values: Iterable[str], name: str) -> list[str]:
    if isinstance(values, str):
        raise UsageError(f"{name} is a list, not one word")
    return list(values)
