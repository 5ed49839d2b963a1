"""The scripted scenarios of the conformance suite, played in memory by both fakes."""

import asyncio
import json
import sys

import pytest

from facematch.testing import AsyncFakeFaceMatch, FakeFaceMatch
from facematch.testing.script import FOLDER_ID, holds
from places import PACKAGE

sys.path.insert(0, str(PACKAGE / "conformance"))
import lines

SCENARIOS = PACKAGE.parent / "conformance/scenarios"


def _is_playable(scenario):
    """Whether a fake can play it: no connection, no credential, and nothing happens beside the
    calls."""
    calls_only = all("call" in step for step in scenario["steps"])
    no_wire = not {"faults", "expect", "open"} & set(scenario)
    options = set(scenario.get("options", ()))
    return (
        scenario.get("server") == "scripted"
        and calls_only
        and no_wire
        and not options & {"token", "headers", "token_file"}
        and not any(
            it in option for option in options for it in ("silence", "call_timeout", "bytes")
        )
    )


PLAYABLE = {
    str(path.relative_to(SCENARIOS)): scenario
    for path in sorted(SCENARIOS.rglob("*.json"))
    if _is_playable(scenario := json.loads(path.read_text()))
}


@pytest.fixture
def said(monkeypatch):
    """What the driver's functions would print."""
    said = []
    monkeypatch.setattr(lines, "say", lambda event, **parts: said.append({"event": event, **parts}))
    return said


def arguments_of(scenario, said):
    options = lines.client_arguments(
        lines.with_tls(scenario.get("options")), lambda told: lines.say_reconnect("c", told)
    )
    return {key: options[key] for key in ("retry", "limits", "on_reconnect")}


def command_of(step):
    command = {"call": "1", **step["call"]}
    if command["verb"] in ("match", "run", "create"):
        usual = {"folder_id": FOLDER_ID, "photo": {"path": __file__, "as": "bytes"}}
        command["request"] = {**usual, **command.get("request", {})}
    return command


def check(step, said):
    expect = step.get("expect", {})
    if "updates" in expect:
        wanted = [it if isinstance(it, dict) else {"kind": it} for it in expect["updates"]]
        assert holds(wanted, [it for it in said if it["event"] == "update"])
    wanted = "error" if "error" in expect else "result"
    last = {key: value for key, value in said[-1].items() if value is not None}
    assert last["event"] == wanted
    assert holds(expect.get(wanted, {}), last)
    if "items" in expect:
        assert sum(it["event"] == "item" for it in said) == expect["items"]
    if isinstance(expect.get("reconnects"), int):
        assert sum(it["event"] == "reconnect" for it in said) == expect["reconnects"]


def test_enough_scenarios_are_playable():
    assert len(PLAYABLE) >= 55


@pytest.mark.parametrize("name", PLAYABLE)
def test_the_fake_plays(name, said):
    from driver import Call

    scenario = PLAYABLE[name]
    with FakeFaceMatch.script(scenario["script"], **arguments_of(scenario, said)) as fake:
        for step in scenario["steps"]:
            said.clear()
            Call(fake, command_of(step)).run()
            check(step, said)
        assert fake.played.unplayed == []


@pytest.mark.parametrize("name", PLAYABLE)
def test_the_asyncio_fake_plays(name, said):
    from driver_asyncio import Call

    scenario = PLAYABLE[name]

    async def play():
        arguments = arguments_of(scenario, said)
        async with AsyncFakeFaceMatch.script(scenario["script"], **arguments) as fake:
            for step in scenario["steps"]:
                said.clear()
                await Call(fake, command_of(step)).task
                check(step, said)
            assert fake.played.unplayed == []

    asyncio.run(play())


def test_an_unexpected_call_is_an_assertion_error():
    fake = FakeFaceMatch.script([{"rpc": "GetMatch", "answer": {"state": "FINISHED"}}])
    with pytest.raises(AssertionError, match="CancelMatch is called"):
        fake.cancel("m")
    with pytest.raises(AssertionError, match="after the end"):
        fake.cancel("m")


def test_an_unexpected_request_is_an_assertion_error():
    exchange = {"rpc": "WatchMatch", "expect": {"after_sequence": 2}}
    with pytest.raises(AssertionError, match="expected"):
        next(FakeFaceMatch.script([exchange]).watch("m", after_sequence=1))
