"""The classes of errors."""

import copy
import pickle

import pytest

import facematch
from facematch import errors, pb
from facematch.testing import FakeFaceMatch, failed, refused

LABEL = "a label that must not be shown"


def test_every_reason_has_a_class_of_its_own(reasons):
    assert {it["reason"] for it in reasons} == set(errors.REASONS)
    assert len(set(errors.REASONS.values())) == len(reasons)
    for it in reasons:
        kind = errors.REASONS[it["reason"]]
        base = errors.CallRefusedError if it["kind"] == "call" else errors.MatchFailedError
        assert issubclass(kind, base)
        assert getattr(facematch, kind.__name__) is kind
        assert kind.__doc__


EXPORTED = [getattr(errors, name) for name in errors.__all__]
CLASSES = [it for it in EXPORTED if isinstance(it, type) and issubclass(it, Exception)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_cross_processes(kind):
    given = kind("words", code="NOT_FOUND", reason="X", metadata={"a": "b"}, retry_after=2.5,
                 field_violations=[errors.FieldViolation("f", "d")], request_id="r",
                 match_id="m", match_continues=True)  # fmt: skip
    for twin in (pickle.loads(pickle.dumps(given)), copy.copy(given)):
        assert type(twin) is kind
        assert str(twin) == str(given)
        assert twin.__dict__ == given.__dict__


def test_a_failed_match_keeps_its_match_across_processes():
    fake = FakeFaceMatch.script([failed("PHOTO_LOST", retryable=True)])
    with pytest.raises(facematch.PhotoLostError) as raised:
        fake.match("folder", b"photo")
    twin = pickle.loads(pickle.dumps(raised.value))
    assert twin.match == raised.value.match
    assert twin.retryable


def test_errors_are_caught_by_their_usual_names():
    assert issubclass(facematch.DeadlineError, TimeoutError)
    assert issubclass(facematch.UsageError, ValueError)
    assert issubclass(facematch.GaveUpError, ConnectionError)
    assert issubclass(facematch.PhotoLostError, facematch.NoVerdictError)


def test_an_error_says_what_to_do_with_the_match():
    fake = FakeFaceMatch.script(
        [{"rpc": "RunMatch", "send": [{"event": "accepted"}],
          "end": {"code": "PERMISSION_DENIED", "reason": "CALL_FORBIDDEN", "message": "no"}}]
    )  # fmt: skip
    with pytest.raises(facematch.CallForbiddenError) as raised:
        fake.match("folder", b"photo", request_id="r-1", labels={"k": LABEL})
    assert str(raised.value) == "CALL_FORBIDDEN: no (the match may go on: request_id r-1)"
    assert repr(raised.value).startswith("CallForbiddenError('CALL_FORBIDDEN: no")
    assert LABEL not in repr(raised.value) + str(raised.value.__cause__)


def test_violations_are_named():
    end = {"code": "INVALID_ARGUMENT", "reason": "FIELD_INVALID", "violations": ["folder_id"]}
    fake = FakeFaceMatch.script([{"rpc": "RunMatch", "end": end}])
    with pytest.raises(facematch.FieldInvalidError, match="folder_id: is wrong"):
        fake.match("folder", b"photo")


def test_the_original_error_is_the_cause():
    fake = FakeFaceMatch.script([refused("MATCH_NOT_FOUND", "NOT_FOUND", rpc="GetMatch")])
    with pytest.raises(facematch.MatchNotFoundError) as raised:
        fake.get("m")
    assert raised.value.__cause__ is not None


def test_metadata_cant_be_changed():
    error = facematch.FaceMatchError("x", metadata={"a": "b"})
    with pytest.raises(TypeError):
        error.metadata["a"] = "c"


def test_a_verdict_is_neither_true_nor_false():
    fake = FakeFaceMatch.script([{"rpc": "RunMatch", "send": [
        {"event": "finished", "sequence": 1, "resolution": "DECLINED"}]}])  # fmt: skip
    verdict = fake.match("folder", b"photo", labels={"k": LABEL})
    with pytest.raises(TypeError, match="same_person"):
        bool(verdict)
    assert LABEL not in repr(verdict)
    assert isinstance(verdict.match, pb.Match)
