"""The service as a Python caller sees it: stubs from the published proto, and grpcio."""

import uuid

import canary
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from support import CALL_SECONDS, refusal


@pytest.fixture
def request_for(pb, folder_id):
    """Builds a MatchRequest for the test's own folder."""

    def build(photo, **fields):
        fields.setdefault("folder_id", folder_id)
        named = pb.ReferencePhoto(content=photo, file_name=canary.FILE_NAME)
        return pb.MatchRequest(photo=named, **fields)

    return build


@pytest.fixture
def run(client):
    """Runs a match to its end and returns its durable updates."""
    return lambda request: durable(client.RunMatch(request, timeout=CALL_SECONDS))


def durable(updates):
    return [u for u in updates if u.WhichOneof("event") not in ("progress", "heartbeat")]


def states(pb, updates):
    return [pb.MatchState.Name(u.match.state).removeprefix("MATCH_STATE_") for u in updates]


def refused(call, *arguments):
    """Makes a call that must be refused, also as a stream, and returns the refusal."""
    with pytest.raises(grpc.RpcError) as caught:
        answer = call(*arguments, timeout=CALL_SECONDS)
        if hasattr(answer, "__next__"):
            list(answer)
    return refusal(caught.value)


def test_a_photo_of_the_folder_s_person_is_a_success(pb, run, request_for, portrait, folder_id):
    updates = run(request_for(portrait, labels={"case": "python"}))

    assert states(pb, updates) == ["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED"]
    events = [update.WhichOneof("event") for update in updates]
    assert events == ["accepted", "photo_uploaded", "analysis_started", "finished"]
    assert [update.sequence for update in updates] == [1, 2, 3, 4]
    assert len({update.match_id for update in updates}) == 1
    times = [update.time.ToNanoseconds() for update in updates]
    assert times == sorted(times)

    verdict = updates[-1].match.result
    assert verdict.resolution == pb.RESOLUTION_SUCCESS
    assert verdict.HasField("min_confidence")
    assert 0 <= verdict.min_confidence <= 1
    assert updates[-1].finished.result == verdict


def test_every_update_carries_the_match_at_its_time(
    pb, client, run, request_for, portrait, folder_id
):
    updates = run(request_for(portrait, labels={"case": "python"}))

    for update in updates:
        match = update.match
        assert (match.match_id, match.sequence) == (update.match_id, update.sequence)
        assert match.folder_id == folder_id
        assert dict(match.labels) == {"case": "python"}
        assert match.create_time == updates[0].match.create_time
        assert match.update_time == update.time
        assert not match.HasField("error")
        assert update.resume_token
    accepted, uploaded, processing, finished = (update.match for update in updates)
    assert (accepted.photo_media_id, accepted.analysis_id) == ("", "")
    assert (bool(uploaded.photo_media_id), uploaded.analysis_id) == (True, "")
    assert processing.analysis_id and processing.photo_media_id == uploaded.photo_media_id
    for running in (accepted, uploaded, processing):
        assert running.deadline == updates[0].accepted.deadline
        assert not running.HasField("result")
        assert not running.HasField("end_time")
    assert finished.HasField("end_time") and finished.HasField("expire_time")
    assert not finished.HasField("deadline") and not finished.HasField("trouble")
    assert finished.liveness_policy == pb.LIVENESS_POLICY_REPORT
    assert finished.photo_kind == pb.PHOTO_KIND_SELFIE
    assert finished.liveness_media_ids == updates[1].photo_uploaded.liveness_media_ids
    assert finished.liveness_analysis_id == finished.result.liveness.analysis_id
    assert finished.oz.state.upper() == "FINISHED"

    asked = pb.GetMatchRequest(match_id=finished.match_id)
    assert client.GetMatch(asked, timeout=CALL_SECONDS) == finished


def test_a_stranger_is_declined_and_the_call_is_ok(pb, run, request_for, stranger):
    updates = run(request_for(stranger))

    assert states(pb, updates) == ["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED"]
    verdict = updates[-1].match.result
    assert verdict.resolution == pb.RESOLUTION_DECLINED
    assert 0 <= verdict.min_confidence <= 1


def test_oz_receives_one_photo_and_one_analysis(
    run, request_for, portrait, simulator, folder_id
):
    finished = run(request_for(portrait))[-1].match

    (upload,) = simulator.asked("add_media", folder_id)
    assert [file["part"] for file in upload["uploads"]] == ["photo1"]
    assert upload["uploads"][0]["bytes"] == len(portrait)
    (start,) = simulator.asked("start_analyses", folder_id)
    (analysis,) = start["asked"]["analyses"]
    assert analysis["type"].upper() == "BIOMETRY"
    assert len(analysis["source_media"]) == 2

    folder = simulator.folder(folder_id)
    media = {medium["media_id"]: medium for medium in folder["media"]}
    assert len(media) == 2
    assert media[finished.photo_media_id]["tags"] == ["photo_selfie"]
    started = [a for a in folder["analyses"] if a["type"].upper() == "BIOMETRY"]
    assert [a["analyse_id"] for a in started] == [finished.analysis_id]
    compared = [medium["media_id"] for medium in started[0]["source_media"]]
    assert sorted(compared) == sorted(media) == sorted(analysis["source_media"])


def test_the_refusal_of_a_bad_request_lists_all_its_faults(pb, client, portrait):
    request = pb.MatchRequest(
        request_id="r" * 129,
        folder_id="../not-a-uuid",
        photo=pb.ReferencePhoto(content=portrait, file_name=canary.FILE_NAME, kind=99),
        timeout=Duration(seconds=-1),
        liveness_media_ids=["neither"],
        liveness_policy=99,
        labels={f"label-{n}": "" for n in range(17)},
    )
    told = refused(client.RunMatch, request)

    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (told.domain, told.reason) == ("facematch", "FIELD_INVALID")
    wrong = {field.partition("[")[0] for field in told.violations}
    assert wrong == {
        "request_id", "folder_id", "photo.kind", "timeout",
        "liveness_media_ids", "liveness_policy", "labels",
    }
    assert all(told.violations.values())


@pytest.mark.parametrize("rpc", ["RunMatch", "CreateMatch"])
def test_an_empty_request_is_refused(pb, client, rpc):
    told = refused(getattr(client, rpc), pb.MatchRequest())

    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (told.domain, told.reason) == ("facematch", "FIELD_INVALID")
    assert {field.partition(".")[0] for field in told.violations} == {"folder_id", "photo"}


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (b"this is not a picture", "PHOTO_UNREADABLE"),
        (b"\xff\xd8\xff" + bytes(10 * 1024 * 1024), "PHOTO_TOO_LARGE"),
        (b"\xff\xd8\xff" + bytes(30 * 1024 * 1024), "PHOTO_TOO_LARGE"),
    ],
    ids=["text", "over 10 MiB", "far over 10 MiB"],
)
def test_an_invalid_photo_never_reaches_oz(
    client, request_for, simulator, folder_id, photo, reason
):
    told = refused(client.RunMatch, request_for(photo))

    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (told.domain, told.reason) == ("facematch", reason)
    assert simulator.asked("add_media", folder_id) == []


def test_a_reference_key_is_not_available_yet(pb, client, folder_id):
    photo = pb.ReferencePhoto(reference_key="employee-17")
    told = refused(client.RunMatch, pb.MatchRequest(folder_id=folder_id, photo=photo))

    assert told.code == grpc.StatusCode.UNIMPLEMENTED
    assert (told.domain, told.reason) == ("facematch", "NOT_AVAILABLE")


def test_a_folder_unknown_to_oz_fails_the_match_not_the_call(
    pb, run, request_for, portrait
):
    updates = run(request_for(portrait, folder_id=str(uuid.uuid4())))

    ended = updates[-1].match
    assert ended.state == pb.MATCH_STATE_FAILED
    assert (ended.error.code, ended.error.reason) == (5, "OZ_FOLDER_NOT_FOUND")
    assert not ended.HasField("result")


def test_a_repeat_is_the_same_match(run, request_for, portrait, simulator, folder_id, request_id):
    first = run(request_for(portrait, request_id=request_id))
    second = run(request_for(portrait, request_id=request_id))

    assert second == first
    assert len(simulator.asked("add_media", folder_id)) == 1
    assert len(simulator.asked("start_analyses", folder_id)) == 1


def test_a_request_id_with_other_content_is_refused(
    client, run, request_for, portrait, stranger, request_id
):
    run(request_for(portrait, request_id=request_id))
    told = refused(client.RunMatch, request_for(stranger, request_id=request_id))

    assert told.code == grpc.StatusCode.ALREADY_EXISTS
    assert (told.domain, told.reason) == ("facematch", "REQUEST_ID_REUSED")
    assert told.metadata["field"]


def test_a_resumed_watch_misses_and_repeats_nothing(
    pb, client, run, request_for, portrait, request_id
):
    updates = run(request_for(portrait, request_id=request_id))

    for after in range(len(updates) + 1):
        for which in ({"match_id": updates[0].match_id}, {"request_id": request_id}):
            watch = pb.WatchMatchRequest(after_sequence=after, **which)
            assert durable(client.WatchMatch(watch, timeout=CALL_SECONDS)) == updates[after:]

    ahead = pb.WatchMatchRequest(match_id=updates[0].match_id, after_sequence=len(updates) + 1)
    told = refused(client.WatchMatch, ahead)
    assert (told.code, told.reason) == (grpc.StatusCode.OUT_OF_RANGE, "WATCH_AHEAD")


def test_a_match_continues_without_its_caller(pb, client, request_for, portrait, request_id):
    stream = client.RunMatch(request_for(portrait, request_id=request_id), timeout=CALL_SECONDS)
    seen = next(stream).sequence
    stream.cancel()

    watch = pb.WatchMatchRequest(request_id=request_id, after_sequence=seen)
    rest = durable(client.WatchMatch(watch, timeout=CALL_SECONDS))
    assert [update.sequence for update in rest] == list(range(seen + 1, 5))
    assert rest[-1].match.state == pb.MATCH_STATE_FINISHED


def test_a_caller_without_streams_creates_and_waits(pb, client, request_for, portrait):
    created = client.CreateMatch(request_for(portrait), timeout=CALL_SECONDS)
    assert created.state >= pb.MATCH_STATE_UPLOADED and created.photo_media_id

    wait = pb.WaitMatchRequest(match_id=created.match_id, timeout=Duration(seconds=CALL_SECONDS))
    ended = client.WaitMatch(wait, timeout=CALL_SECONDS)
    assert ended.state == pb.MATCH_STATE_FINISHED
    assert ended.result.resolution == pb.RESOLUTION_SUCCESS


def test_all_matches_of_a_folder_are_watched_in_one_stream(
    pb, client, run, request_for, portrait, folder_id
):
    updates = run(request_for(portrait)) + run(request_for(portrait))

    watch = pb.WatchMatchesRequest(resume_token="earliest", folder_id=folder_id)
    stream = client.WatchMatches(watch, timeout=CALL_SECONDS)
    hello = next(stream)
    assert hello.WhichOneof("event") == "heartbeat"
    assert hello.resume_token and not hello.match_id and hello.sequence == 0
    seen = []
    for update in stream:
        seen += durable([update])
        if len(seen) == len(updates):
            break
    stream.cancel()
    assert seen == updates


def test_a_cancelled_match_ends_at_once_and_stays_cancelled(pb, client, request_for, portrait):
    stream = client.RunMatch(request_for(portrait), timeout=CALL_SECONDS)
    first = next(stream)
    cancel = pb.CancelMatchRequest(match_id=first.match_id)
    cancelled = client.CancelMatch(cancel, timeout=CALL_SECONDS)

    assert cancelled.state == pb.MATCH_STATE_CANCELLED
    last = durable(stream)[-1]
    assert last.WhichOneof("event") == "cancelled"
    assert last.match == cancelled
    assert client.CancelMatch(cancel, timeout=CALL_SECONDS) == cancelled


def test_a_match_with_a_verdict_is_not_cancelled(pb, client, run, request_for, portrait):
    match_id = run(request_for(portrait))[-1].match_id
    told = refused(client.CancelMatch, pb.CancelMatchRequest(match_id=match_id))

    assert told.code == grpc.StatusCode.FAILED_PRECONDITION
    assert (told.domain, told.reason) == ("facematch", "MATCH_ENDED")


def test_a_list_is_paged_newest_first(pb, client, run, request_for, portrait, stranger, folder_id):
    photos = [portrait, stranger, portrait]
    newest_first = [run(request_for(photo))[-1].match for photo in photos][::-1]

    listed, token = [], ""
    for _ in photos:
        page = pb.ListMatchesRequest(folder_id=folder_id, page_size=2, page_token=token)
        answer = client.ListMatches(page, timeout=CALL_SECONDS)
        listed += answer.matches
        token = answer.next_page_token
        if not token:
            break
    assert listed == newest_first

    running = pb.ListMatchesRequest(folder_id=folder_id, states=[pb.MATCH_STATE_PROCESSING])
    assert not client.ListMatches(running, timeout=CALL_SECONDS).matches


def test_an_erased_match_is_gone_and_its_id_free(
    pb, client, run, request_for, portrait, request_id
):
    ended = run(request_for(portrait, request_id=request_id))[-1].match
    match_id = ended.match_id
    by_request = pb.DeleteMatchRequest(request_id=request_id)
    erased = client.DeleteMatch(by_request, timeout=CALL_SECONDS)
    assert (erased.match_id, erased.photo_media_id) == (match_id, ended.photo_media_id)
    assert erased.delete_time.ToNanoseconds() >= ended.end_time.ToNanoseconds()

    for repeat in (by_request, pb.DeleteMatchRequest(match_id=match_id)):
        assert refused(client.DeleteMatch, repeat).reason == "MATCH_NOT_FOUND"
    told = refused(client.GetMatch, pb.GetMatchRequest(match_id=match_id))
    assert told.code == grpc.StatusCode.NOT_FOUND
    assert (told.domain, told.reason) == ("facematch", "MATCH_NOT_FOUND")
    again = run(request_for(portrait, request_id=request_id))
    assert again[0].match_id != match_id


def test_a_running_match_is_not_erased(pb, client, request_for, portrait):
    stream = client.RunMatch(request_for(portrait), timeout=CALL_SECONDS)
    match_id = next(stream).match_id
    told = refused(client.DeleteMatch, pb.DeleteMatchRequest(match_id=match_id))

    assert told.code == grpc.StatusCode.FAILED_PRECONDITION
    assert (told.domain, told.reason) == ("facematch", "MATCH_RUNNING")
    assert durable(stream)[-1].match.state == pb.MATCH_STATE_FINISHED


def test_no_file_and_no_log_line_holds_the_photo(run, request_for, portrait, server, written):
    before = server.log.stat().st_size
    assert run(request_for(portrait))

    written.check()
    assert server.log.stat().st_size > before + 10_000, "the log is at the level trace"
