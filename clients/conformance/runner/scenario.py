"""Scenarios from their files. A key that FORMAT.md doesn't describe is an error: a misspelt
expectation would hold for ever."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"

_KEYS = {
    "scenario": "about server folder oz options open faults script steps expect",
    "server": "settings callers tls client_ca restarts",
    "oz": "name match then",
    "fault": "after before do error",
    "after": "sequence request_bytes connect",
    "scenario.expect": "photos_at_oz analyses_at_oz photos_sent connections",
    "expect": "updates items result error reconnects",
    "exchange": "rpc expect not_before_ms send answer end",
    "error": "code reason message metadata retry_after_ms pushback violations domain",
    "message": (
        "event sequence match_id token state resolution cause reason retryable photo_media_id "
        "interval_ms bare unknown_fields wait wait_ms"
    ),
    "answer": (
        "state sequence match_id request_id resolution reason retryable photo_media_id matches "
        "next_page_token copies padding"
    ),
}
_KNOWN = {name: set(words.split()) for name, words in _KEYS.items()}

# The keys of a step, by the key that says what it does.
_STEPS = {
    "call": {"as", "expect"},
    "start": {"as", "copies"},
    "end": {"expect", "copies"},
    "until": set(),
    "go": set(),
    "cancel": set(),
    "close": {"expect"},
    "open": {"client", "expect"},
    "rpc": {"request", "until"},
    "simulator": set(),
    "signal": set(),
    "restart": set(),
    "proxy": set(),
    "script": set(),
    "exchanges": set(),
    "token_file": set(),
    "pass_ms": set(),
}


def load(words):
    """The scenarios whose names contain one of the words, or all of them: by their names."""
    found = {}
    for path in sorted(FOLDER.rglob("*.json")):
        name = _name(path)
        if not words or any(word in name for word in words):
            found[name] = _checked(name, json.loads(path.read_text(encoding="utf-8")))
    if not found:
        raise SystemExit(f"no scenario is named {' or '.join(words)}")
    return found


def names():
    """The names of all scenarios."""
    return {_name(path) for path in FOLDER.rglob("*.json")}


def _name(path):
    return str(path.relative_to(FOLDER).with_suffix(""))


def _checked(name, scenario):
    try:
        _check(scenario)
    except (ValueError, AttributeError, TypeError) as error:
        raise SystemExit(f"scenario {name}: {error}") from error
    return scenario


def _check(scenario):
    _known("scenario", scenario)
    if not scenario.get("about") or not scenario.get("steps"):
        raise ValueError("about and steps are needed")
    server = scenario.get("server", "real")
    if server not in ("real", "scripted"):
        _known("server", server)
    if (server == "scripted") is not ("script" in scenario):
        raise ValueError("a script belongs to a scripted server")
    for rule in scenario.get("oz", ()):
        _known("oz", rule)
    for fault in scenario.get("faults", ()):
        _known("fault", fault)
        _known("after", fault.get("after", {}))
    _known("scenario.expect", scenario.get("expect", {}))
    for exchange in scenario.get("script", ()):
        _check_exchange(exchange)
    for step in scenario["steps"]:
        _check_step(step)


def _check_exchange(exchange):
    _known("exchange", exchange)
    for message in exchange.get("send", ()):
        _known("message", message)
    answer = exchange.get("answer", {})
    for part in (answer, *answer.get("matches", ())):
        _known("answer", part)
    if isinstance(exchange.get("end"), dict):
        _known("error", exchange["end"])


def _check_step(step):
    kinds = [key for key in step if key in _STEPS]
    # The values of `rpc` may be repeated until they hold.
    kind = "rpc" if "rpc" in kinds else kinds[0] if len(kinds) == 1 else None
    if kind is None or set(step) - _STEPS[kind] - {kind}:
        raise ValueError(f"unknown step {step}")
    if kind in ("call", "end"):
        _known("expect", step.get("expect", {}))


def _known(what, given):
    unknown = set(given) - _KNOWN[what]
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r} of {what}")
