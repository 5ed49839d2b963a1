"""The search for canaries is tested itself: a canary is put into each place, and must be found."""

import base64
import sqlite3
from types import SimpleNamespace

import canary
import grpc
import pytest
from authority import Authority
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

TOKEN = "0123456789abcdef" * 8
KEY = "fm_k7_" + "0123456789abcdef" * 4
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJreWMtYmF0Y2gifQ.c2lnbmF0dXJl"


@pytest.fixture
def leaks(simulator):
    """Each kind of canary, with the name under which the search reports it."""
    return {
        canary.PHOTO.decode(): "a photo",
        canary.FILE_NAME: "a file's name",
        simulator.password: "a password",
        TOKEN: "a token",
        KEY: "an API key",
        JWT: "a token",
        Authority("clients").client("kyc.internal").key.decode(): "a private key",
    }


def test_a_photo_is_found_in_every_form(search, portrait):
    written = [portrait.hex(), str(list(portrait)), repr(portrait)]
    forms = [portrait, *(form.encode() for form in written)]
    forms += [base64.b64encode(b"abc"[:shift] + portrait) for shift in range(3)]
    middle = portrait[len(portrait) // 3 : len(portrait) // 2]
    for form in [*forms, middle, middle.hex().upper().encode(), base64.b64encode(middle)]:
        assert search.found(form) == "a photo"
    assert search.found(b"a" * 300 + b" " + TOKEN[:64].encode()) is None


def test_the_secret_part_of_a_credential_is_found_in_every_form(search):
    identity = Authority("clients").client("kyc.internal")
    secret = canary.secrets_of(keys=[KEY], tokens=[JWT], private_keys=[identity.key])
    assert sorted(secret.values()) == ["a private key", "a token", "an API key"]
    wider = search.and_for(secret)
    for word, what in secret.items():
        assert search.found(word) is None, "the form alone doesn't tell"
        for form in canary.forms(word):
            assert wider.found(b"nothing " + form) == what
    assert wider.found(identity.cert + b" k7 fm_k7 " + JWT[:20].encode()) is None


def test_a_canary_is_found_in_the_audit_file(search, tmp_path):
    server = SimpleNamespace(log=tmp_path / "serve.log", folder=tmp_path)
    server.log.write_text("nothing\n")
    (tmp_path / "facematch.db").write_text("nothing\n")
    (tmp_path / "audit.log").write_text(f'{{"credential":"{KEY}"}}\n')
    with pytest.raises(AssertionError, match="^audit.log: there is an API key"):
        canary.Written(server, search).check()


def test_a_canary_is_found_in_the_log_and_in_the_journal(search, leaks, tmp_path):
    server = SimpleNamespace(log=tmp_path / "serve.log", folder=tmp_path)
    for text, what in leaks.items():
        server.log.write_text(f"nothing\nINFO {text} and\nnothing\n")
        journal = sqlite3.connect(tmp_path / "facematch.db")
        journal.execute("PRAGMA journal_mode = WAL")
        with pytest.raises(AssertionError, match=f"^the log: there is {what}"):
            canary.Written(server, search).check()
        server.log.write_text("nothing\n")
        canary.Written(server, search).check()

        journal.execute("CREATE TABLE notes (note)")
        journal.execute("INSERT INTO notes VALUES (?)", (text,))
        journal.commit()
        with pytest.raises(AssertionError, match=f"^facematch.db-wal: there is {what}") as caught:
            canary.Written(server, search).check()
        assert text not in str(caught.value), "a finding is not quoted"
        journal.close()
        with pytest.raises(AssertionError, match=f"^facematch.db: there is {what}"):
            canary.Written(server, search).check()
        (tmp_path / "facematch.db").unlink()


class Refused(grpc.RpcError):
    """A refusal with details, as a stub raises it."""

    def __init__(self, message, details):
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=details))
        self._status = rpc_status.to_status(
            status_pb2.Status(code=3, message=message, details=[detail])
        )

    def code(self):
        return self._status.code

    def details(self):
        return self._status.details

    def trailing_metadata(self):
        return self._status.trailing_metadata


def test_a_canary_is_found_in_answers_and_in_statuses(search, leaks, pb):
    def stream(*answers):
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def answering(*answers):
        stub = SimpleNamespace(GetMatch=lambda: answers[0], WatchMatch=lambda: stream(*answers))
        return canary.Answers(stub, search)

    def refusing():
        raise refused

    for text, what in leaks.items():
        leaking = pb.Match(error=pb.MatchError(message=f"not {text}"))
        for calling in (answering(leaking).GetMatch, lambda: next(answering(leaking).WatchMatch())):
            with pytest.raises(AssertionError, match=f"^an answer of .*: there is {what}"):
                calling()
        for refused in (Refused(f"not {text}", "FIELD_INVALID"), Refused("no", text)):
            stub = canary.Answers(SimpleNamespace(RunMatch=refusing), search)
            watch = answering(pb.Match(), refused).WatchMatch()
            next(watch)
            for calling in (stub.RunMatch, lambda: next(watch)):
                with pytest.raises(AssertionError, match=f"status of .*: there is {what}"):
                    calling()
