"""Verdicts fail closed."""

import pytest

import facematch
from facematch import Resolution, pb
from facematch._verdict import verdict_of


def finished(resolution=pb.RESOLUTION_SUCCESS, **result):
    match = pb.Match(match_id="m", state=pb.MATCH_STATE_FINISHED)
    match.result.resolution = resolution
    result = {"min_confidence": 0.9, **result}
    for name, value in result.items():
        if value is not None:
            setattr(match.result, name, value)
    return match


def test_only_success_is_the_same_person():
    words = {it: verdict_of(finished(pb.Resolution.Value(f"RESOLUTION_{it.value}")))
             for it in Resolution}  # fmt: skip
    assert {it for it, verdict in words.items() if verdict.same_person} == {Resolution.SUCCESS}
    assert all(verdict.resolution is it for it, verdict in words.items())


@pytest.mark.parametrize("number", [0, 4, 99, -1])
def test_an_unknown_resolution_is_none(number):
    with pytest.raises(facematch.ContractError):
        verdict_of(finished(number))


def test_a_verdict_needs_a_score():
    with pytest.raises(facematch.ContractError):
        verdict_of(finished(min_confidence=None))


def test_absent_scores_are_none_and_zero_is_a_score():
    verdict = verdict_of(finished(min_confidence=0.0))
    assert (verdict.min_confidence, verdict.max_confidence) == (0.0, None)
    assert verdict_of(finished(max_confidence=0.99)).max_confidence == 0.99


@pytest.mark.parametrize(
    ("number", "passed"),
    [(pb.RESOLUTION_SUCCESS, True), (pb.RESOLUTION_DECLINED, False), (0, False), (99, False)],
)
def test_liveness_passes_only_by_success(number, passed):
    match = finished()
    assert verdict_of(match).liveness is None
    match.result.liveness.resolution = number
    assert verdict_of(match).liveness.passed is passed
    assert verdict_of(match).liveness.confidence_spoofing is None


@pytest.mark.parametrize("state", [0, 1, 2, 3, 77])
def test_a_match_that_has_not_ended_has_no_verdict(state):
    with pytest.raises(facematch.ContractError):
        verdict_of(pb.Match(state=state))


def test_a_failure_without_words_is_a_failure():
    with pytest.raises(facematch.MatchFailedError) as raised:
        verdict_of(pb.Match(state=pb.MATCH_STATE_FAILED))
    assert type(raised.value) is facematch.MatchFailedError
