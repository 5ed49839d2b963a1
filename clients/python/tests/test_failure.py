"""How gRPC's errors are read."""

import grpc
import pytest

from facematch._failure import Failure
from facematch.testing import script
from facematch.testing.fake import _Error

CODES = list(grpc.StatusCode)


def failure(**error):
    code = script.code(error)
    return Failure.of(_Error(code, script.message(error), script.trailers(error)))


def test_all_details_are_read():
    it = failure(
        code="INVALID_ARGUMENT",
        reason="FIELD_INVALID",
        metadata={"a": "b"},
        retry_after_ms=1500,
        violations=["folder_id", "photo"],
    )
    assert (it.reason, it.metadata, it.retry_after) == ("FIELD_INVALID", {"a": "b"}, 1.5)
    assert [violation.field for violation in it.violations] == ["folder_id", "photo"]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_transports_error_is_classified_by_its_code(code):
    may_pass = {"UNAVAILABLE", "UNKNOWN", "INTERNAL", "ABORTED", "CANCELLED"}
    assert failure(code=code.name).may_pass == (code.name in may_pass)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_reason_is_terminal_unless_a_repeat_is_asked_for(code):
    if code is grpc.StatusCode.OK:
        return
    assert failure(code=code.name, reason="X").may_pass == (code.name == "UNAVAILABLE")
    assert failure(code=code.name, reason="X", retry_after_ms=1).may_pass


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_failed_call_may_have_acted_unless_it_says_that_it_had_no_effect(code):
    unsettled = {"UNAVAILABLE", "UNKNOWN", "INTERNAL", "ABORTED", "CANCELLED",
                 "DEADLINE_EXCEEDED", "DATA_LOSS"}  # fmt: skip
    assert failure(code=code.name, reason="X").may_have_acted == (code.name in unsettled)
    is_own_limit = code.name == "RESOURCE_EXHAUSTED"
    assert failure(code=code.name).may_have_acted == (code.name in unsettled or is_own_limit)
    for reason in ["SERVER_DRAINING", "AUDIT_UNAVAILABLE"]:
        assert not failure(code=code.name, reason=reason).may_have_acted


@pytest.mark.parametrize("trailers", [(), (("grpc-status-details-bin", b"\xff\xff garbage"),)])
def test_an_error_without_readable_details_has_no_reason(trailers):
    it = Failure.of(_Error(grpc.StatusCode.NOT_FOUND, "no", trailers))
    assert it.reason is None
    assert it.retry_after is None


@pytest.mark.parametrize(("text", "expected"), [("250", (0.25, False)), ("-1", (None, True)),
                                                ("soon", (None, True))])  # fmt: skip
def test_the_pushback_trailer_counts_without_retry_info(text, expected):
    it = failure(code="UNAVAILABLE", pushback=text)
    assert (it.retry_after, it.is_final) == expected


def test_retry_info_counts_before_the_pushback_trailer():
    it = failure(code="UNAVAILABLE", reason="X", retry_after_ms=1000, pushback="-1")
    assert (it.retry_after, it.is_final) == (1.0, False)


def test_an_error_that_says_nothing_is_unknown():
    it = Failure.of(grpc.RpcError())
    assert it.code is grpc.StatusCode.UNKNOWN
    assert it.may_pass
