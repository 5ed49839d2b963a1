"""The lines of the conformance protocol, the same for both drivers."""

import faulthandler
import json
import signal
import sys
import threading
import traceback

import facematch
from facematch import pb

_lock = threading.Lock()


def say(event, **parts):
    """Prints one event."""
    known = {key: value for key, value in parts.items() if value is not None}
    line = json.dumps({"event": event, **known})
    with _lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def ready():
    # A driver that hangs is asked for its stacks.
    faulthandler.register(signal.SIGQUIT)
    say("ready", protocol=1, library=facematch.__version__, features=[])


class Unsupported(Exception):
    """A command, verb, option or key that this driver doesn't know."""


def seconds(milliseconds):
    return milliseconds / 1000


def _take(options, **names):
    """Moves known options into arguments, durations in seconds."""
    taken = {}
    for option, argument in names.items():
        value = options.pop(option, None)
        if value is not None:
            taken[argument] = seconds(value) if option.endswith("_ms") else value
    return taken


def client_arguments(options, on_reconnect):
    """The arguments of a client, from the options of `open`."""
    options = dict(options or {})
    tls = dict(options.pop("tls", None) or {})
    arguments = _take(
        tls,
        ca_file="ca_file",
        cert_file="cert_file",
        key_file="key_file",
        server_name="server_name",
    )
    arguments["plaintext"] = not options.pop("is_tls", False)
    arguments |= _take(
        options,
        token="token",
        token_file="token_file",
        allow_plaintext_token="allow_plaintext_token",
        headers="metadata",
    )
    arguments["retry"] = facematch.Retry(
        **_take(
            options,
            backoff_first_ms="first",
            backoff_longest_ms="longest",
            give_up_after_ms="give_up_after",
            give_up_tries="tries",
        )
    )
    arguments["limits"] = facematch.Limits(
        **_take(
            options,
            silence_least_ms="silence_least",
            silence_unknown_ms="silence_unknown",
            call_timeout_ms="call_timeout",
            wait_step_ms="wait_step",
            receive_bytes_max="receive_bytes",
            send_bytes_max="send_bytes",
        )
    )
    left = [*options, *tls]
    if left:
        raise Unsupported(f"option {left[0]}")
    return {**arguments, "on_reconnect": on_reconnect}


def with_tls(options):
    """The options, with a mark of whether they ask for TLS, which an empty `tls` does as well."""
    options = dict(options or {})
    return {**options, "is_tls": options.get("tls") is not None}


def photo(given, kind):
    """The photo of a request, and its kind, as the library's users give it."""
    path, form = given.get("path"), given.get("as")
    if path is None:
        sources = {key: given[key] for key in ("reference_key", "folder_media_id") if key in given}
        return facematch.Photo(**sources, kind=kind)
    if form == "path" and kind is None:
        return path
    if form == "path":
        return facematch.Photo.read(path, kind=kind)
    with open(path, "rb") as file:
        if form == "bytes":
            return facematch.Photo(file.read(), kind=kind)
        return facematch.Photo.read(file, kind=kind)


def request_arguments(command, *, streams):
    """The arguments of match, run and create."""
    request = dict(command["request"])
    arguments = {
        "folder_id": request.pop("folder_id"),
        "photo": photo(request.pop("photo"), request.pop("kind", None)),
        **_take(
            request,
            request_id="request_id",
            timeout_ms="match_timeout",
            liveness_policy="liveness_policy",
            liveness_media_ids="liveness_media_ids",
            labels="labels",
        ),
    }
    if streams:
        arguments |= _take(request, include_progress="include_progress")
    request.pop("include_progress", None)
    if request:
        raise Unsupported(f"key {next(iter(request))} of a request")
    return arguments


# The keys that each verb may have besides those of the command itself.
_STREAM = {"pause_after", "stop_after", "heartbeats"}
VERBS = {
    "match": {"request"},
    "run": {"request", *_STREAM},
    "create": {"request"},
    "get": {"id"},
    "wait": {"id"},
    "watch": {"id", "after_sequence", "include_progress", *_STREAM},
    "watch_all": {"resume_token", "folder_id", "labels", "on_expired", *_STREAM},
    "list": {"folder_id", "labels", "states", "page_size", *_STREAM},
    "cancel": {"id"},
    "delete": {"id"},
}


def call_arguments(command):
    """The arguments of the library's verb for a command."""
    verb = command["verb"]
    if verb not in VERBS:
        raise Unsupported(f"verb {verb}")
    unknown = set(command) - VERBS[verb] - {"do", "call", "client", "verb", "deadline_ms"}
    if unknown:
        raise Unsupported(f"key {min(unknown)} of {verb}")
    rest = {key: value for key, value in command.items() if value is not None}
    arguments = _take(rest, deadline_ms="timeout", heartbeats="include_heartbeats")
    if "request" in rest:
        arguments |= request_arguments(rest, streams=verb == "run")
    arguments |= rest.get("id", {})
    names = ("after_sequence", "include_progress", "resume_token", "folder_id", "labels")
    for name in (*names, "on_expired", "states", "page_size"):
        if name in rest:
            arguments[name] = rest[name]
    return arguments


def word(enum, number):
    """The name of an enum's value without its prefix, or its number."""
    if number not in enum.values():
        return str(number)
    prefix = {pb.MatchState: "MATCH_STATE_", pb.Resolution: "RESOLUTION_"}[enum]
    return enum.Name(number).removeprefix(prefix)


def _resolution(match):
    has_one = match is not None and match.HasField("result")
    return word(pb.Resolution, match.result.resolution) if has_one else None


def say_update(call, update):
    has_match = update.HasField("match")
    kind = update.WhichOneof("event") or "unknown"
    say(
        "update",
        call=call,
        sequence=update.sequence,
        match_id=update.match_id,
        resume_token=update.resume_token,
        kind=kind,
        state=word(pb.MatchState, update.match.state) if has_match else None,
        resolution=_resolution(update.match) if has_match else None,
        cause=update.attempt_failed.cause if kind == "attempt_failed" else None,
    )


def token_of(stream):
    """The token that a stream of all matches shows; None for others."""
    return getattr(stream, "resume_token", None)


def say_item(call, match):
    state = word(pb.MatchState, match.state)
    say("item", call=call, match_id=match.match_id, request_id=match.request_id, state=state)


def match_parts(match):
    return {
        "match_id": match.match_id,
        "request_id": match.request_id,
        "state": word(pb.MatchState, match.state),
        "sequence": match.sequence,
        "resolution": _resolution(match),
        "error_reason": match.error.reason if match.HasField("error") else None,
        "folder_id": match.folder_id,
    }


def verdict_parts(verdict):
    return {
        "resolution": str(verdict.resolution),
        "same_person": verdict.same_person,
        "match_id": verdict.match_id,
        "request_id": verdict.request_id,
        "min_confidence": verdict.min_confidence,
    }


def deleted_parts(deleted):
    return {
        "match_id": deleted.match_id,
        "photo_media_id": deleted.photo_media_id,
        "already_gone": deleted.already_gone or None,
    }


def last_match_parts(match):
    if match is None:
        return {}
    return {"state": word(pb.MatchState, match.state), "resolution": _resolution(match)}


def say_reconnect(client, told):
    say(
        "reconnect",
        client=client,
        attempt=told.attempt,
        code=told.error.code,
        reason=told.error.reason,
        wait_ms=round(told.wait * 1000),
        text=_text(told.error) + repr(told),
    )


_KINDS = (
    (facematch.UsageError, "usage"),
    (facematch.MatchFailedError, "failed"),
    (facematch.MatchCancelledError, "match_cancelled"),
    (facematch.DeadlineError, "deadline"),
    (facematch.CallCancelledError, "cancelled"),
    (facematch.GaveUpError, "gave_up"),
    (facematch.ContractError, "contract"),
    (facematch.CallRefusedError, "refused"),
)


def say_error(error, **whose):
    """The error of a call or of a client. An error of another kind is a bug of the library, and
    has no kind."""
    kind = next((word for kind, word in _KINDS if isinstance(error, kind)), None)
    if kind is None:
        traceback.print_exception(error)
        say("error", **whose, kind=type(error).__name__, text=_text(error))
        return
    retry_after = error.retry_after
    say(
        "error",
        **whose,
        kind=kind,
        code=error.code,
        reason=error.reason,
        message=error.message,
        metadata=dict(error.metadata),
        **{"is": [it for it, of in facematch.errors.REASONS.items() if isinstance(error, of)]},
        retryable=getattr(error, "retryable", None),
        retry_after_ms=None if retry_after is None else round(retry_after * 1000),
        violations=[violation.field for violation in error.field_violations],
        request_id=error.request_id,
        match_id=error.match_id,
        match_continues=error.match_continues,
        text=_text(error),
    )


def _text(error):
    seen = []
    while error is not None:
        seen += [str(error), repr(error), *map(str, error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(seen)
