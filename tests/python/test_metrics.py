"""The metrics of the built program: complete, well formed, right, and bounded."""

import os
import re
import subprocess
import time
import uuid
from contextlib import suppress

import exposition
import grpc
import pytest
from exposition import OPEN_METRICS, families, scrape, series, total
from support import CALL_SECONDS, ROOT, Server, free_port

PAGE = ROOT / "docs/metrics.md"

# These exist only in other installations: with PostgreSQL, with TLS, or after a fault.
ELSEWHERE = {
    "facematch_lease_age_seconds",
    "facematch_leases_lost_total",
    "facematch_certificate_not_after_timestamp_seconds",
    "facematch_handshake_failures_total",
    "facematch_quota_used_ratio",
}


@pytest.fixture(scope="module")
def measured(simulator, portrait, tmp_path_factory):
    """A server with an admin port, for the tests of this file alone."""
    folder, admin = tmp_path_factory.mktemp("measured"), f"127.0.0.1:{free_port()}"
    photos = tmp_path_factory.mktemp("photos")
    (photos / "17.jpg").write_bytes(portrait)
    settings = ["--admin-listen", admin, "--library", f"file://{photos}"]
    server = Server(os.environ["FACEMATCH_BIN"], simulator, folder, "info", settings)
    server.admin = admin
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stub(measured, stubs):
    with measured.channel() as channel:
        yield stubs.rpc.FaceMatchStub(channel)


@pytest.fixture
def run(stub, pb, simulator, portrait):
    """Runs a match of a picture in a new folder that holds the portrait."""

    def run(picture, **fields):
        folder = simulator.post_folder(portrait)
        photo = pb.ReferencePhoto(content=picture)
        request = pb.MatchRequest(folder_id=folder, photo=photo, **fields)
        return list(stub.RunMatch(request, timeout=CALL_SECONDS))[-1].match

    return run


@pytest.fixture
def everything(run, stub, pb, portrait, measured):
    """Has done all that the page's metrics count: a match, a refusal, an open stream."""
    run(portrait)
    with suppress(grpc.RpcError):
        stub.GetMatch(pb.GetMatchRequest(match_id=str(uuid.uuid4())), timeout=CALL_SECONDS)
    with suppress(OSError), pytest.raises(OSError):
        exposition.scrape(measured.address)


def test_a_scrape_has_exactly_the_metrics_of_the_page(everything, measured):
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    wanted = {name: kind for name, kind in rows if name not in ELSEWHERE}
    assert len(wanted) > 40
    _, text = scrape(measured.admin)
    found = families(text)
    assert not set(found) & ELSEWHERE
    assert found == wanted


def test_rules_and_panels_name_only_metrics_that_exist():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    used = exposition.used_names()
    assert len(used) > 30 and used <= set(rows), used - set(rows)


def test_promtool_finds_nothing_to_complain_about(everything, measured):
    _, text = scrape(measured.admin)
    command = [os.environ["FACEMATCH_PROMTOOL"], "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_open_metrics_has_the_traces_of_calls(measured, stub, pb):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    metadata = [("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
    stub.ListMatches(pb.ListMatchesRequest(), metadata=metadata, timeout=CALL_SECONDS)
    kind, text = scrape(measured.admin, OPEN_METRICS)
    assert kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n")
    assert f'# {{trace_id="{trace}"}}' in text
    kind, text = scrape(measured.admin)
    assert kind == "text/plain; version=0.0.4; charset=utf-8" and trace not in text


def test_counts_are_what_was_done(run, measured, portrait, stranger, stub, pb):
    def counts():
        _, text = scrape(measured.admin)
        ended = "facematch_matches_finished_total"
        return [
            total(text, ended, resolution="SUCCESS", tenant="default"),
            total(text, ended, resolution="DECLINED"),
            total(text, "facematch_requests_refused_total", reason="MATCH_NOT_FOUND"),
            total(text, "facematch_match_duration_seconds_count"),
            total(text, "facematch_match_phase_seconds_count", phase="uploaded"),
            total(text, "rpc_server_call_duration_seconds_count", rpc_status_code="NOT_FOUND"),
            total(
                text,
                "http_client_request_duration_seconds_count",
                url_template="/api/folders/{folder_id}/media/",
                http_response_status_code="201",
            ),
        ]

    before = counts()
    for picture in (portrait, portrait, stranger):
        run(picture)
    with pytest.raises(grpc.RpcError):
        stub.CancelMatch(pb.CancelMatchRequest(match_id=str(uuid.uuid4())), timeout=CALL_SECONDS)
    rise = [after - earlier for after, earlier in zip(counts(), before)]
    assert rise == [2, 1, 1, 3, 3, 1, 3]
    _, text = scrape(measured.admin)
    for name in ("facematch_matches_unfinished", "facematch_photos", "facematch_panics_total"):
        assert total(text, name) == 0, name
    assert total(text, "facematch_invariant_violations_total") == 0


def test_a_match_in_a_missing_folder_counts_as_failed_and_not_as_trouble_at_oz(
    run, measured, portrait, stub, pb
):
    def counts():
        _, text = scrape(measured.admin)
        failed = total(text, "facematch_match_duration_seconds_count", outcome="FAILED")
        return failed, total(text, "facematch_oz_attempts_failed_total")

    failed, trouble = counts()
    photo = pb.ReferencePhoto(content=portrait)
    request = pb.MatchRequest(folder_id=str(uuid.uuid4()), photo=photo)
    assert list(stub.RunMatch(request, timeout=CALL_SECONDS))[-1].match.state == pb.MATCH_STATE_FAILED
    # The end is counted just after it is shown. Trouble would be counted before it is written.
    deadline = time.monotonic() + CALL_SECONDS
    while counts()[0] == failed:
        assert time.monotonic() < deadline, "the end isn't counted"
    assert counts() == (failed + 1, trouble)


def test_the_number_of_series_does_not_grow_with_the_load(run, measured, portrait, stub, pb):
    def load(count):
        for _ in range(count):
            run(portrait, request_id=f"series-{uuid.uuid4()}", labels={str(uuid.uuid4()): "x"})
            with pytest.raises(grpc.RpcError):
                request = pb.GetMatchRequest(match_id=str(uuid.uuid4()))
                stub.GetMatch(request, timeout=CALL_SECONDS)
        return set(series(scrape(measured.admin)[1]))

    first = load(2)
    assert load(10) == first


def test_reads_from_the_photo_library_are_counted_by_their_result(stub, pb, simulator, portrait, measured):
    def reads(result):
        _, text = scrape(measured.admin)
        return total(text, "facematch_library_reads_total", source="folder", result=result)

    def run(key):
        photo = pb.ReferencePhoto(reference_key=key)
        request = pb.MatchRequest(folder_id=simulator.post_folder(portrait), photo=photo)
        return list(stub.RunMatch(request, timeout=CALL_SECONDS))[-1].match

    before = [reads("ok"), reads("not_found"), reads("no_room")]
    run("17.jpg")
    assert run("none.jpg").error.reason == "REFERENCE_NOT_FOUND"
    after = [reads("ok"), reads("not_found"), reads("no_room")]
    assert [now - earlier for now, earlier in zip(after, before)] == [1, 1, 0]
    _, text = scrape(measured.admin)
    assert total(text, "facematch_library_circuit_open", source="folder", tenant="default") == 0
    assert total(text, "facematch_library_read_seconds_count", source="folder") >= 2
    assert "17.jpg" not in text
