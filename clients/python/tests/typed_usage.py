"""A program that uses every verb, for mypy: `check` reads it, and nothing runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone

from typing_extensions import assert_type

import facematch
from facematch import AsyncClient, Client, Photo, pb
from facematch.testing import AsyncFakeFaceMatch, FakeFaceMatch, Server


def told(reconnect: facematch.Reconnect) -> None:
    assert_type(reconnect.wait, float)
    assert_type(reconnect.error, Exception)


def use(client: Client) -> None:
    verdict = client.match(
        "folder",
        Photo.read("a.jpg", kind="id_front"),
        match_timeout=timedelta(minutes=5),
        liveness_policy="require",
        labels={"branch": "riga"},
    )
    assert_type(verdict, facematch.Verdict)
    assert_type(verdict.same_person, bool)
    assert_type(verdict.min_confidence, float)
    assert_type(verdict.liveness, facematch.Liveness | None)
    with client.run("folder", b"photo", timeout=60) as stream:
        for update in stream:
            assert_type(update, pb.MatchUpdate)
            if update.match.state == pb.MATCH_STATE_PROCESSING:
                print(update.match.oz.polls)
        assert_type(stream.verdict(), facematch.Verdict)
        assert_type(stream.request_id, str | None)
    with client.watch_all(on_expired="earliest") as everything:
        assert_type(next(everything), pb.MatchUpdate)
        assert_type(everything.resume_token, str)
    assert_type(client.create("folder", "a.jpg"), pb.Match)
    assert_type(client.get("m"), pb.Match)
    assert_type(client.wait(request_id="r", timeout=5.5), pb.Match)
    assert_type(client.cancel("m"), pb.Match)
    assert_type(client.delete("m"), facematch.Deleted)
    since = datetime.now(timezone.utc)
    assert_type(client.list(states=["FINISHED"], created_after=since), Iterator[pb.Match])


def fail(client: Client) -> None:
    try:
        client.get("m")
    except facematch.MatchNotFoundError as error:
        assert_type(error.metadata.get("a"), str | None)
    except facematch.MatchFailedError as error:
        assert_type(error.retryable, bool)
        assert_type(error.match, pb.Match)
    except facematch.FaceMatchError as error:
        assert_type(error.retry_after, float | None)


async def use_async(client: AsyncClient) -> None:
    async with client:
        assert_type(await client.match("folder", b"photo"), facematch.Verdict)
        async with client.run("folder", b"photo") as stream:
            async for update in stream:
                assert_type(update, pb.MatchUpdate)
            assert_type(await stream.verdict(), facematch.Verdict)
        assert_type(client.list(), AsyncIterator[pb.Match])
        assert_type(await client.delete(request_id="r"), facematch.Deleted)


async def token() -> str:
    return "fm_a_b"


with Client("localhost:50051", token=lambda: "fm_a_b", on_reconnect=told) as made:
    use(made)
    fail(FakeFaceMatch.script([]))
asyncio.run(use_async(AsyncClient("localhost:50051", token=token)))
asyncio.run(use_async(AsyncFakeFaceMatch.script([])))
with Server() as server:
    assert_type(server.oz.folder(person="stranger"), str)
