"""Both clients have the same verbs, and keep the promises of Python's own protocols."""

import asyncio
import gc
import inspect
import weakref
from datetime import datetime, timedelta, timezone

import pytest

import facematch
from facematch import AsyncClient, Client
from facematch.testing import AsyncFakeFaceMatch, FakeFaceMatch, verdict

VERBS = ["match", "run", "create", "get", "wait", "watch", "watch_all", "list", "cancel", "delete"]
RUN = {"rpc": "RunMatch", "send": [{"event": "accepted"}], "end": "hang"}


@pytest.mark.parametrize("verb", VERBS)
def test_both_clients_have_the_same_arguments(verb):
    both = [inspect.signature(getattr(client, verb)).parameters for client in (Client, AsyncClient)]
    assert list(map(str, both[0].values())) == list(map(str, both[1].values()))


@pytest.mark.parametrize("verb", VERBS)
def test_both_clients_have_the_same_words(verb):
    assert getattr(Client, verb).__doc__ == getattr(AsyncClient, verb).__doc__


def test_the_constructors_differ_only_by_the_token():
    both = [dict(inspect.signature(client).parameters) for client in (Client, AsyncClient)]
    assert both[0].pop("token") != both[1].pop("token")
    assert list(map(str, both[0].values())) == list(map(str, both[1].values()))


def test_a_stream_shows_its_request_id_before_anything_is_sent():
    fake = FakeFaceMatch.script([])
    stream = fake.run("folder", b"photo")
    assert stream.request_id
    assert stream.match_id is None
    assert fake.played.requests == []


def test_a_given_request_id_is_kept_and_an_empty_one_refused():
    fake = FakeFaceMatch.script([])
    assert fake.run("folder", b"photo", request_id="r-1").request_id == "r-1"
    with pytest.raises(facematch.UsageError):
        fake.run("folder", b"photo", request_id="")


@pytest.mark.parametrize("names", [{}, {"match_id": "m", "request_id": "r"}, {"match_id": ""}])
def test_a_match_is_named_by_one_id(names):
    fake = FakeFaceMatch.script([])
    for verb in ("get", "wait", "watch", "cancel", "delete"):
        with pytest.raises(facematch.UsageError):
            getattr(fake, verb)(**names)


def test_times_need_a_time_zone():
    fake = FakeFaceMatch.script([{"rpc": "ListMatches", "answer": {}}])
    with pytest.raises(facematch.UsageError):
        fake.list(created_after=datetime(2026, 1, 1))
    assert list(fake.list(created_after=datetime(2026, 1, 1, tzinfo=timezone.utc))) == []


def test_wrong_words_are_refused_before_anything_is_sent():
    fake = FakeFaceMatch.script([])
    with pytest.raises(facematch.UsageError):
        fake.list(states=["finished"])
    with pytest.raises(facematch.UsageError):
        fake.list(states="FINISHED")
    with pytest.raises(facematch.UsageError):
        fake.run("folder", b"photo", liveness_policy="always")
    with pytest.raises(facematch.UsageError):
        fake.run("folder", b"photo", liveness_media_ids="m-1")
    with pytest.raises(facematch.UsageError):
        fake.watch_all(on_expired="ignore")


def test_durations_are_seconds_or_timedeltas():
    exchange = {**verdict(), "expect": {"timeout_ms": 90_000}}
    for given in (90, 90.0, timedelta(seconds=90)):
        fake = FakeFaceMatch.script([exchange])
        assert fake.match("folder", b"photo", match_timeout=given, timeout=given).same_person


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_impossible_durations_are_refused(wrong):
    fake = FakeFaceMatch.script([])
    with pytest.raises(facematch.UsageError):
        fake.get("m", timeout=wrong)
    with pytest.raises(facematch.UsageError):
        fake.run("folder", b"photo", match_timeout=wrong)


def test_no_time_is_no_call():
    fake = FakeFaceMatch.script([])
    with pytest.raises(facematch.DeadlineError):
        fake.get("m", timeout=0)
    with pytest.raises(facematch.DeadlineError):
        fake.match("folder", b"photo", timeout=0)


LOST_END = [
    {"rpc": "RunMatch", "send": [{"event": "accepted"}, {"event": "photo_uploaded"}]},
    {"rpc": "GetMatch", "end": "hang"},
    {"rpc": "WatchMatch", "send": [{"event": "analysis_started"}, {"event": "finished"}]},
]


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_look_that_is_not_answered_is_a_broken_call(timeout):
    limits = facematch.Limits(call_timeout=0.05)
    fake = FakeFaceMatch.script(LOST_END, limits=limits)
    assert fake.match("folder", b"photo", timeout=timeout).same_person
    assert fake.played.unplayed == []

    async def use():
        fake = AsyncFakeFaceMatch.script(LOST_END, limits=limits)
        assert (await fake.match("folder", b"photo", timeout=timeout)).same_person

    asyncio.run(use())


def test_a_look_ends_with_the_callers_deadline():
    fake = FakeFaceMatch.script(LOST_END)
    with pytest.raises(facematch.DeadlineError) as raised:
        fake.match("folder", b"photo", timeout=0.05)
    assert raised.value.match_continues


def test_an_older_server_is_told_of_once(caplog):
    caplog.set_level("INFO", logger="facematch")
    fake = FakeFaceMatch.script([])
    for version in ("0.0.9", "0.0.9", None, facematch.__version__, "99.0.0-rc.1", "fake"):
        fake._core.note_version(version)
    assert len(caplog.records) == 1
    assert fake.server_version == "fake"


def test_a_closed_stream_is_over():
    fake = FakeFaceMatch.script([RUN])
    with fake.run("folder", b"photo") as stream:
        assert next(stream).sequence == 1
    assert list(stream) == []
    stream.close()
    with pytest.raises(facematch.CallCancelledError):
        stream.verdict()


def test_an_ended_stream_stays_ended():
    fake = FakeFaceMatch.script([verdict()])
    stream = fake.run("folder", b"photo")
    assert len(list(stream)) == 4
    assert list(stream) == []
    assert stream.verdict().same_person
    assert stream.match_continues is False


def test_a_stream_that_failed_is_over():
    fake = FakeFaceMatch.script([{"rpc": "RunMatch", "end": {"code": "INVALID_ARGUMENT"}}])
    stream = fake.run("folder", b"photo")
    with pytest.raises(facematch.CallRefusedError):
        next(stream)
    assert list(stream) == []


def test_a_closed_client_refuses_calls():
    fake = FakeFaceMatch.script([])
    with fake:
        pass
    fake.close()
    with pytest.raises(facematch.UsageError, match="closed"):
        fake.get("m")


def test_a_closed_asyncio_client_refuses_calls():
    async def use():
        fake = AsyncFakeFaceMatch.script([])
        async with fake:
            pass
        await fake.aclose()
        with pytest.raises(facematch.UsageError, match="closed"):
            await fake.get("m")

    asyncio.run(use())


def test_clients_and_streams_are_collected():
    fake = FakeFaceMatch.script([RUN])
    stream = fake.run("folder", b"photo")
    next(stream)
    kept = [weakref.ref(fake), weakref.ref(stream)]
    del fake, stream
    gc.collect()
    assert [it() for it in kept] == [None, None]


def test_a_stream_outlives_the_name_of_its_client():
    stream = FakeFaceMatch.script([verdict()]).run("folder", b"photo")
    gc.collect()
    assert stream.verdict().same_person


def test_the_callers_exception_leaves_the_stream_closed():
    fake = FakeFaceMatch.script([RUN])
    stream = fake.run("folder", b"photo")
    with pytest.raises(ZeroDivisionError), stream:
        next(stream).sequence / 0
    assert list(stream) == []


def test_cancelling_a_task_ends_its_call():
    async def use():
        fake = AsyncFakeFaceMatch.script([RUN])
        async with fake.run("folder", b"photo") as stream:
            await anext(stream)
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert stream.match_continues
        assert [it async for it in stream] == []

    asyncio.run(use())


def test_a_call_that_the_server_cancels_is_no_cancelled_task():
    async def use():
        running = [{"event": it} for it in ("accepted", "photo_uploaded")]
        ending = [{"event": it} for it in ("analysis_started", "finished")]
        fake = AsyncFakeFaceMatch.script(
            [
                {"rpc": "RunMatch", "send": running, "end": {"code": "CANCELLED"}},
                {"rpc": "WatchMatch", "send": ending},
            ]
        )
        assert (await fake.match("folder", b"photo")).same_person

    asyncio.run(use())


def test_asyncio_tokens_may_be_coroutines():
    async def token():
        return "fm_a_b"

    client = AsyncClient("127.0.0.1:1", token=token)
    assert asyncio.run(client._core.token.read_async()) == "fm_a_b"
    with pytest.raises(facematch.UsageError):
        Client("127.0.0.1:1", token=token)._core.token.read()


def test_names_are_exported():
    for name in facematch.__all__:
        assert hasattr(facematch, name)
    assert sorted(facematch.__all__) == sorted(set(facematch.__all__))
