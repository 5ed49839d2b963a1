"""The conformance suite refuses scenarios that would check nothing."""

import sys

import pytest

from places import PACKAGE

sys.path.insert(0, str(PACKAGE.parent / "conformance"))
from runner.scenario import _checked

CALL = {"call": {"verb": "match"}, "expect": {"result": {}}}
GOOD = {"about": "It works.", "steps": [CALL]}


def test_a_good_scenario_is_accepted():
    assert _checked("good", GOOD) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        {"about": ""},
        {"steps": []},
        {"expected": {}},
        {"expect": {"photo_sent": 1}},
        {"steps": [{**CALL, "expect": {"update": []}}]},
        {"steps": [{"calls": {"verb": "match"}}]},
        {"steps": [{**CALL, "go": "1"}]},
        {"server": {"setting": {}}},
        {"server": "scripted"},
        {"script": []},
        {"faults": [{"after": {"sequence_number": 1}, "do": "close"}]},
        {"server": "scripted", "script": [{"rpc": "GetMatch", "ends": "OK"}]},
        {"server": "scripted", "script": [{"rpc": "RunMatch", "send": [{"evnt": "x"}]}]},
        {"server": "scripted", "script": [{"rpc": "GetMatch", "answer": {"stat": "X"}}]},
        {"server": "scripted", "script": [{"rpc": "GetMatch", "end": {"cod": "X"}}]},
    ],
)
def test_a_misspelt_key_is_refused(wrong):
    with pytest.raises(SystemExit, match="scenario wrong: "):
        _checked("wrong", {**GOOD, **wrong})
