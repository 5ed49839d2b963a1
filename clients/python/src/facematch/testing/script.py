"""Scripts: what a server answers, in the short form of conformance scenarios.

clients/conformance/FORMAT.md describes the form. Fakes play scripts in memory, the conformance
suite plays them over gRPC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from facematch.v1 import face_match_pb2 as pb

Short = Mapping[str, Any]

#: The ids that messages have unless their short form says otherwise.
MATCH_ID = "01a22c91-9cad-76f3-a389-6652ad672228"
FOLDER_ID = "e788039b-9b73-4f4f-9f6c-ff56fae50a50"
PHOTO_MEDIA_ID = "5f1e8a3c-0a6e-4d68-9d5e-6d1f4a7f0b11"

#: The rpcs of the contract, and whether each is a stream.
RPCS = {
    name: method.server_streaming
    for name, method in pb.DESCRIPTOR.services_by_name["FaceMatch"].methods_by_name.items()
}

_STATES = {
    "accepted": "ACCEPTED",
    "photo_uploaded": "UPLOADED",
    "analysis_started": "PROCESSING",
    "attempt_failed": "ACCEPTED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "unknown": "PROCESSING",
}
# The numbers of a match without trouble.
_SEQUENCES = {
    "accepted": 1,
    "photo_uploaded": 2,
    "analysis_started": 3,
    "finished": 4,
    "failed": 4,
    "cancelled": 4,
}
_STATE_SEQUENCES = {"ACCEPTED": 1, "UPLOADED": 2, "PROCESSING": 3}
_FLEETING = ("progress", "heartbeat")
_WITH_PHOTO = ("UPLOADED", "PROCESSING", "FINISHED")
_INTERVAL_MS = 20_000

# Field 1000 as a varint of 7: no version has it.
_UNKNOWN_FIELD = bytes([0xC0, 0x3E, 0x07])


class Updates:
    """Makes the messages of streams. It remembers the last durable sequence and state, which
    heartbeats and progress carry."""

    def __init__(self) -> None:
        self._sequence = 0
        self._state: str | int = "ACCEPTED"

    def message(self, short: Short, request_id: str) -> pb.MatchUpdate:
        """The message that a short form stands for."""
        event = short["event"]
        if event == "heartbeat" and short.get("bare"):
            return _bare_heartbeat(short)
        if event in _FLEETING:
            sequence, state = short.get("sequence", self._sequence), self._state
        else:
            sequence = short.get("sequence", _SEQUENCES.get(event, self._sequence + 1))
            state = short.get("state", _STATES[event])
            self._sequence, self._state = sequence, state
        snapshot = _match(short, state, sequence, request_id)
        update = pb.MatchUpdate(
            match_id=snapshot.match_id,
            sequence=sequence,
            match=snapshot,
            resume_token=short.get("token", ""),
        )
        _set_event(update, event, short)
        if short.get("unknown_fields"):
            update.match.MergeFromString(_UNKNOWN_FIELD)
            update.MergeFromString(_UNKNOWN_FIELD)
        return update


def answer(rpc: str, short: Short, request_id: str) -> Message:
    """The answer of a unary call."""
    if rpc == "DeleteMatch":
        return pb.DeleteMatchResponse(
            match_id=short.get("match_id", MATCH_ID),
            photo_media_id=short.get("photo_media_id", ""),
        )
    if rpc == "ListMatches":
        return pb.ListMatchesResponse(
            matches=[
                _answered_match(it, request_id)
                for it in short.get("matches", ())
                for _ in range(it.get("copies", 1))
            ],
            next_page_token=short.get("next_page_token", ""),
        )
    return _answered_match(short, request_id)


def code(error: Short) -> grpc.StatusCode:
    """The status code of an error."""
    return grpc.StatusCode[error["code"]]


def message(error: Short) -> str:
    """The sentence of an error."""
    text: str = error.get("message", "the script says so")
    return text


def trailers(error: Short) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of an error."""
    made: list[tuple[str, str | bytes]] = []
    details = _details(error)
    if details:
        number = code(error).value[0]
        status = status_pb2.Status(code=number, message=message(error), details=details)
        made.append(("grpc-status-details-bin", status.SerializeToString()))
    if "pushback" in error:
        made.append(("grpc-retry-pushback-ms", error["pushback"]))
    return tuple(made)


def seen(request: Message, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a script can expect of a request."""
    found: dict[str, Any] = {"metadata": dict(metadata)}
    for field, value in _scalars(request):
        found[field] = value
    if isinstance(request, pb.MatchRequest):
        found |= {
            "photo": bool(request.photo.content),
            "reference_key": request.photo.reference_key,
            "folder_media_id": request.photo.folder_media_id,
            "kind": pb.PhotoKind.Name(request.photo.kind),
            "liveness_policy": pb.LivenessPolicy.Name(request.liveness_policy),
            "liveness_media_ids": list(request.liveness_media_ids),
            "labels": dict(request.labels),
            "timeout_ms": (
                request.timeout.ToMilliseconds() if request.HasField("timeout") else None
            ),
        }
    return found


def holds(expected: object, actual: object) -> bool:
    """Whether a value meets an expectation: equal to it, an object that has all of its values, or
    what a matcher such as ``{"$at_least": 3}`` asks for."""
    if isinstance(expected, Mapping):
        if expected and all(key.startswith("$") for key in expected):
            return all(_MATCHERS[key](value, actual) for key, value in expected.items())
        if not isinstance(actual, Mapping):
            return False
        return all(holds(value, actual.get(key)) for key, value in expected.items())
    if isinstance(expected, list):
        is_list = isinstance(actual, list) and len(actual) == len(expected)
        return is_list and all(map(holds, expected, actual))  # type: ignore[call-overload]
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return expected == actual


_MATCHERS: dict[str, Callable[[Any, Any], bool]] = {
    "$set": lambda wanted, actual: (actual not in (None, "", [], {})) is wanted,
    "$absent": lambda wanted, actual: (actual is None) is wanted,
    "$in": lambda wanted, actual: any(holds(it, actual) for it in wanted),
    "$at_least": lambda wanted, actual: actual is not None and actual >= wanted,
    "$at_most": lambda wanted, actual: actual is not None and actual <= wanted,
    "$contains": lambda wanted, actual: actual is not None and wanted in actual,
    "$not": lambda wanted, actual: not holds(wanted, actual),
}


def _bare_heartbeat(short: Short) -> pb.MatchUpdate:
    update = pb.MatchUpdate(resume_token=short.get("token", ""))
    update.heartbeat.interval.FromMilliseconds(short.get("interval_ms", _INTERVAL_MS))
    return update


def _set_event(update: pb.MatchUpdate, event: str, short: Short) -> None:
    if event == "unknown":
        return
    getattr(update, event).SetInParent()
    if event == "heartbeat":
        update.heartbeat.interval.FromMilliseconds(short.get("interval_ms", _INTERVAL_MS))
    elif event == "attempt_failed":
        update.attempt_failed.cause = short.get("cause", "OZ_UNREACHABLE")
    elif event == "finished":
        update.finished.result.CopyFrom(update.match.result)
    elif event == "failed":
        update.failed.error.CopyFrom(update.match.error)
    elif event == "progress":
        update.progress.polls = 3


def _answered_match(short: Short, request_id: str) -> pb.Match:
    state = short.get("state", "PROCESSING")
    sequence = short.get("sequence", _STATE_SEQUENCES.get(state, 4))
    return _match(short, state, sequence, short.get("request_id", request_id))


def _match(short: Short, state: str | int, sequence: int, request_id: str) -> pb.Match:
    made = pb.Match(
        match_id=short.get("match_id", MATCH_ID),
        request_id=request_id,
        folder_id=FOLDER_ID,
        sequence=sequence,
        photo_media_id=short.get("photo_media_id", PHOTO_MEDIA_ID if state in _WITH_PHOTO else ""),
        liveness_policy=pb.LIVENESS_POLICY_REPORT,
        photo_kind=pb.PHOTO_KIND_SELFIE,
    )
    if "padding" in short:
        made.labels["padding"] = "x" * short["padding"]
    made.state = _number(pb.MatchState, "MATCH_STATE_", state)
    if state == "FINISHED":
        resolution = short.get("resolution", "SUCCESS")
        made.result.resolution = _number(pb.Resolution, "RESOLUTION_", resolution)
        made.result.min_confidence = short.get("min_confidence", 0.97)
    if state == "FAILED":
        made.error.code = code({"code": short.get("code", "INTERNAL")}).value[0]
        made.error.reason = short.get("reason", "OZ_ANALYSIS_FAILED")
        made.error.message = short.get("message", "the script says so")
        made.error.retryable = short.get("retryable", True)
    return made


def _number(enum: Any, prefix: str, value: str | int) -> Any:
    return value if isinstance(value, int) else enum.Value(prefix + value)


def _scalars(request: Message) -> list[tuple[str, Any]]:
    """The fields of a request that are neither messages nor lists; of a oneof, the field that is
    set."""
    fields = request.DESCRIPTOR.fields
    single = [it for it in fields if it.message_type is None and not _is_list(request, it.name)]
    return [
        (it.name, getattr(request, it.name))
        for it in single
        if it.containing_oneof is None or request.HasField(it.name)
    ]


def _is_list(request: Message, name: str) -> bool:
    # Descriptors tell this by different names in different versions of protobuf.
    return not isinstance(getattr(request, name), (str, bytes, int, float))


def _details(error: Short) -> list[Packed]:
    found: list[Message] = []
    if "reason" in error:
        found.append(
            error_details_pb2.ErrorInfo(
                reason=error["reason"],
                domain=error.get("domain", "facematch"),
                metadata=error.get("metadata"),
            )
        )
    if "retry_after_ms" in error:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(error["retry_after_ms"])
        found.append(retry)
    if "violations" in error:
        request = error_details_pb2.BadRequest()
        for field in error["violations"]:
            request.field_violations.add(field=field, description="is wrong")
        found.append(request)
    packed = []
    for detail in found:
        packed.append(Packed())
        packed[-1].Pack(detail)
    return packed
