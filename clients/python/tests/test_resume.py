"""The resume algorithm, without calls and clocks."""

import grpc
import pytest

import facematch
from facematch import pb
from facematch._failure import Failure
from facematch._resume import Acceptance, Following, FollowingAll, Outage, Silence
from facematch.testing import script

BROKEN = Failure(grpc.StatusCode.UNAVAILABLE, "broken")


def outage(jitter=1.0, has_end=True, **retry):
    return Outage(facematch.Retry(**retry), has_end=has_end, jitter=lambda: jitter)


def updates(*events):
    made = script.Updates()
    return [made.message({"event": event}, "r-1") for event in events]


def following(**arguments):
    return Following(run=pb.MatchRequest(request_id="r-1", folder_id="f"), **arguments)


def test_pauses_grow_up_to_the_longest():
    it = outage(first=0.2, longest=1.0)
    assert [it.pause(BROKEN, 0) for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_pause_may_be_as_short_as_its_jitter_says():
    assert outage(jitter=0.0).pause(BROKEN, 0) == 0


def test_an_asked_delay_is_never_shortened():
    asked = Failure(grpc.StatusCode.UNAVAILABLE, "", reason="SERVER_DRAINING", retry_after=3)
    assert outage(jitter=0.0).pause(asked, 0) == 3
    assert outage(jitter=1.0).pause(asked, 0) == 4.5


def test_many_retries_dont_overflow():
    it = outage(first=0.2, longest=5)
    for _ in range(5000):
        pause = it.pause(BROKEN, 0)
    assert pause == 5


def test_time_without_progress_begins_with_the_first_broken_call():
    it = outage(give_up_after=10, first=0.1, longest=0.1)
    assert it.pause(BROKEN, 1000) is not None
    assert it.pause(BROKEN, 1009) is not None
    assert it.pause(BROKEN, 1010) is None


def test_progress_ends_an_outage():
    it = outage(give_up_after=10, tries=2)
    for now in (0, 9):
        it.pause(BROKEN, now)
    assert it.pause(BROKEN, 9) is None
    it.progress()
    assert it.tries == 0
    assert it.pause(BROKEN, 100) is not None


def test_a_stream_that_worked_for_a_while_begins_a_new_outage():
    it = outage(tries=1, longest=5)
    assert it.pause(BROKEN, 0) is not None
    it.opened()
    it.message(10)
    assert it.pause(BROKEN, 15) is not None
    it.opened()
    it.message(20)
    assert it.pause(BROKEN, 24.9) is None


def test_watch_all_has_no_limit_of_time():
    it = outage(has_end=False, give_up_after=1)
    assert all(it.pause(BROKEN, now) is not None for now in range(0, 100_000, 1000))


def test_any_delay_and_interval_can_be_waited_for():
    endless = Failure(grpc.StatusCode.UNAVAILABLE, "", reason="X", retry_after=1e300)
    assert outage(has_end=False).pause(endless, 0) < 200_000
    assert outage().pause(endless, 0) is None
    silence = Silence(facematch.Limits())
    heartbeat = pb.MatchUpdate()
    for seconds in (-5, 0):
        heartbeat.heartbeat.interval.seconds = seconds
        silence.note(heartbeat)
        assert silence.limit(is_upload=False) == 15


def test_silence_is_three_intervals_but_not_short():
    silence = Silence(facematch.Limits())
    assert silence.limit(is_upload=False) == 60
    heartbeat = pb.MatchUpdate()
    heartbeat.heartbeat.interval.FromSeconds(20)
    silence.note(heartbeat)
    assert silence.limit(is_upload=False) == 60
    heartbeat.heartbeat.interval.FromSeconds(1)
    silence.note(heartbeat)
    assert silence.limit(is_upload=False) == 15
    assert silence.limit(is_upload=True) == 60


def test_a_heartbeat_without_an_interval_tells_nothing():
    silence = Silence(facematch.Limits(silence_unknown=7))
    heartbeat = pb.MatchUpdate()
    heartbeat.heartbeat.SetInParent()
    silence.note(heartbeat)
    assert silence.limit(is_upload=False) == 7


def test_the_photo_is_sent_until_the_match_has_it():
    it = following()
    accepted, uploaded = updates("accepted", "photo_uploaded")
    assert it.next_call().rpc == "RunMatch"
    it.take(accepted)
    assert it.next_call().rpc == "RunMatch"
    it.take(uploaded)
    call = it.next_call()
    assert call.rpc == "WatchMatch"
    assert call.request == pb.WatchMatchRequest(match_id=script.MATCH_ID, after_sequence=2)


def test_a_gap_is_a_broken_contract():
    it = following()
    accepted, _, started = updates("accepted", "photo_uploaded", "analysis_started")
    it.take(accepted)
    with pytest.raises(facematch.ContractError, match="3 came after update 1"):
        it.take(started)


def test_heartbeats_are_no_progress():
    it = following(heartbeats=True)
    accepted, heartbeat = updates("accepted", "heartbeat")
    assert it.take(accepted) == (True, True)
    assert it.take(heartbeat) == (False, True)
    assert following().take(heartbeat) == (False, False)


def test_the_token_moves_with_the_caller():
    request = pb.WatchMatchesRequest(resume_token="t0")
    it = FollowingAll(request, on_expired="raise", heartbeats=False)
    it.take(pb.MatchUpdate(resume_token="t1", accepted=pb.Accepted()))
    assert it.token == "t0"
    it.finished()
    assert it.token == "t1"
    it.take(pb.MatchUpdate(resume_token="t2", heartbeat=pb.Heartbeat()))
    assert it.next_call().request.resume_token == "t2"


def test_what_was_refused_was_not_accepted():
    it = Acceptance(accepted=False)
    it.sending()
    assert it.may_be
    it.failed(Failure(grpc.StatusCode.UNAVAILABLE, "", reason="SERVER_DRAINING"))
    assert not it.may_be
    it.sending()
    it.failed(Failure(grpc.StatusCode.UNAVAILABLE, ""))
    assert it.may_be


@pytest.mark.parametrize(
    "wrong",
    [{"first": 0}, {"first": 2, "longest": 1}, {"give_up_after": 0}, {"tries": -1}],
)
def test_impossible_retries_are_refused(wrong):
    with pytest.raises(facematch.UsageError):
        facematch.Retry(**wrong)


@pytest.mark.parametrize("wrong", [{"call_timeout": 0}, {"wait_step": 601}, {"send_bytes": 0}])
def test_impossible_limits_are_refused(wrong):
    with pytest.raises(facematch.UsageError):
        facematch.Limits(**wrong)
