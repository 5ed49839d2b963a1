"""The service over TLS with callers, as seen by grpcio and by grpcurl, and while all is renewed."""

import json
import subprocess
import threading

import canary
import grpc
import pytest
import support
from authority import Authority
from grpc import StatusCode
from secured import CALLERS_READ, TLS_READ, Key, Secured
from support import CALL_SECONDS

# grpcurl exits with 64 + the code, or with 1 if there is no connection.
CODE, NO_CONNECTION = 64, 1

# A key that no file has, in the right form.
UNKNOWN_KEY = "fm_k7_" + "0123456789abcdef" * 4

# What is wrong with a call that has a trusted certificate or none: the certificate and the key by
# their names in `material`, the code and the reason.
REFUSED = {
    "no credential": (None, None, StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
    "an unknown key": (None, "unknown", StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
    "a wrong secret": (None, "wrong", StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
    "no key at all": (None, "word", StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
    "an expired key": (None, "expired", StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED"),
    "an unnamed certificate": (
        "unknown", None, StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    ),
    "a wrong key beside a good certificate": (
        "known", "unknown", StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    ),
    "a key of another tenant than the certificate": (
        "known", "loans", StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    ),
}


@pytest.fixture(scope="module")
def required(simulator, search, tmp_path_factory):
    secured = Secured(simulator, tmp_path_factory.mktemp("required"), search)
    yield secured
    secured.stop()


@pytest.fixture(scope="module")
def optional(simulator, search, tmp_path_factory):
    folder = tmp_path_factory.mktemp("optional")
    secured = Secured(simulator, folder, search, client_auth="optional")
    yield secured
    secured.stop()


@pytest.fixture
def renewed(simulator, search, tmp_path):
    """A service whose files a test replaces. It logs no frames, since it serves many calls."""
    secured = Secured(simulator, tmp_path, search, log="info,facematch=trace")
    yield secured
    secured.stop()


def material(secured, certificate, key):
    certificates = {None: None, "known": secured.certificate, "unknown": secured.unknown}
    kyc = secured.keys["kyc"].text
    keys = {
        None: None,
        "expired": secured.expired.text,
        "loans": secured.keys["loans"].text,
        "unknown": UNKNOWN_KEY,
        "word": "letmein",
        "wrong": kyc[:-1] + ("0" if kyc[-1] != "0" else "1"),
    }
    return certificates[certificate], keys[key]


def match_request(pb, folder_id, portrait, request_id=""):
    photo = pb.ReferencePhoto(content=portrait, file_name=canary.FILE_NAME)
    return pb.MatchRequest(request_id=request_id, folder_id=folder_id, photo=photo)


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("key", [None, "kyc"])
def test_a_certificate_runs_a_match_with_and_without_a_key(
    required, stubs, pb, folder_id, portrait, key
):
    key = key and required.keys[key].text
    with required.stub(stubs, required.certificate, key) as stub:
        request = match_request(pb, folder_id, portrait)
        *_, last = stub.RunMatch(request, timeout=CALL_SECONDS)
        assert last.match.result.resolution == pb.RESOLUTION_SUCCESS
        erase = pb.DeleteMatchRequest(match_id=last.match_id)
        assert stub.DeleteMatch(erase, timeout=CALL_SECONDS).match_id == last.match_id


def test_a_key_in_the_metadata_is_enough_where_certificates_are_optional(optional, stubs, pb):
    metadata = [("authorization", f"Bearer {optional.keys['kyc'].text}")]
    with optional.stub(stubs, None) as stub:
        request = pb.ListMatchesRequest()
        stub.ListMatches(request, metadata=metadata, timeout=CALL_SECONDS)
        twice = lambda: stub.ListMatches(request, metadata=metadata * 2, timeout=CALL_SECONDS)
        assert support.refusal(refused(twice)).reason == "CREDENTIAL_INVALID"


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_wrong_credential_is_refused(optional, stubs, pb, wrong):
    certificate, key, code, reason = REFUSED[wrong]
    certificate, key = material(optional, certificate, key)
    with optional.stub(stubs, certificate, key) as stub:
        request = pb.GetMatchRequest(request_id="order-17")
        told = support.refusal(refused(lambda: stub.GetMatch(request, timeout=CALL_SECONDS)))
    assert (told.code, told.reason) == (code, reason)


def test_a_call_without_the_permission_is_forbidden(required, stubs, pb, folder_id, portrait):
    key = required.keys["reports"].text
    with required.stub(stubs, required.certificate, key) as stub:
        stub.ListMatches(pb.ListMatchesRequest(), timeout=CALL_SECONDS)
        request = match_request(pb, folder_id, portrait)
        run = lambda: next(stub.RunMatch(request, timeout=CALL_SECONDS))
        told = support.refusal(refused(run))
    assert (told.code, told.reason) == (StatusCode.PERMISSION_DENIED, "CALL_FORBIDDEN")
    assert told.metadata["permission"] == "match"


def test_a_tenant_finds_no_match_of_another(optional, stubs, pb, folder_id, portrait, request_id):
    request = match_request(pb, folder_id, portrait, request_id)
    with optional.stub(stubs, None, optional.keys["kyc"].text) as stub:
        *_, last = stub.RunMatch(request, timeout=CALL_SECONDS)
    with optional.stub(stubs, None, optional.keys["loans"].text) as stub:
        for query in (
            pb.GetMatchRequest(match_id=last.match_id),
            pb.GetMatchRequest(request_id=request_id),
        ):
            told = support.refusal(refused(lambda: stub.GetMatch(query, timeout=CALL_SECONDS)))
            assert (told.code, told.reason) == (StatusCode.NOT_FOUND, "MATCH_NOT_FOUND")
        listed = stub.ListMatches(pb.ListMatchesRequest(folder_id=folder_id), timeout=CALL_SECONDS)
        assert not listed.matches


@pytest.mark.parametrize("wrong", ["no certificate", "another authority", "an unknown server"])
def test_without_trust_on_both_sides_there_is_no_connection(required, stubs, pb, wrong):
    other = Authority("clients")
    certificate = {
        "no certificate": None,
        "another authority": other.client("kyc.internal"),
        "an unknown server": required.certificate,
    }[wrong]
    roots = other.pem if wrong == "an unknown server" else None
    with required.stub(stubs, certificate, required.keys["kyc"].text, roots=roots) as stub:
        request = pb.ListMatchesRequest()
        error = refused(lambda: stub.ListMatches(request, timeout=CALL_SECONDS))
    assert error.code() == StatusCode.UNAVAILABLE, error.details()


def test_clear_text_is_not_served(required, stubs, pb):
    with required.server.channel() as channel:
        stub = stubs.rpc.FaceMatchStub(channel)
        error = refused(lambda: stub.ListMatches(pb.ListMatchesRequest(), timeout=CALL_SECONDS))
    assert error.code() == StatusCode.UNAVAILABLE


@pytest.fixture
def grpcurl_of(grpcurl, tmp_path):
    """Runs the real grpcurl over TLS, and returns its exit code and output."""

    def run(secured, certificate, key, *arguments, roots=None):
        (tmp_path / "ca.pem").write_bytes(roots or secured.servers.pem)
        options = ["-max-time", str(CALL_SECONDS), "-cacert", tmp_path / "ca.pem"]
        if certificate:
            (tmp_path / "cert.pem").write_bytes(certificate.cert)
            (tmp_path / "key.pem").write_bytes(certificate.key)
            options += ["-cert", tmp_path / "cert.pem", "-key", tmp_path / "key.pem"]
        if key:
            options += ["-H", f"authorization: Bearer {key}"]
        command = [grpcurl.program, *options, secured.target, *arguments]
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=CALL_SECONDS
        )
        said = done.stdout + done.stderr
        secured.search().check("what grpcurl says", said.encode())
        return done.returncode, said

    return run


LIST = "facematch.v1.FaceMatch/ListMatches"


def test_grpcurl_is_served_with_certificate_and_key(required, optional, grpcurl_of):
    key = required.keys["kyc"].text
    for secured, certificate, key in (
        (required, required.certificate, None),
        (required, required.certificate, required.keys["kyc"].text),
        (required, required.unknown, required.keys["kyc"].text),
        (optional, None, optional.keys["kyc"].text),
    ):
        code, said = grpcurl_of(secured, certificate, key, LIST)
        assert code == 0, said
        assert isinstance(json.loads(said), dict)


@pytest.mark.parametrize("wrong", REFUSED)
def test_grpcurl_is_told_what_is_wrong(optional, grpcurl_of, wrong):
    certificate, key, code, reason = REFUSED[wrong]
    certificate, key = material(optional, certificate, key)
    exit_code, said = grpcurl_of(optional, certificate, key, LIST)
    assert exit_code == CODE + code.value[0], said
    assert f'"reason": "{reason}"' in said


def test_grpcurl_has_no_connection_without_trust(required, grpcurl_of):
    key, other = required.keys["kyc"].text, Authority("clients")
    for certificate, roots in (
        (None, None),
        (other.client("kyc.internal"), None),
        (required.certificate, other.pem),
    ):
        code, said = grpcurl_of(required, certificate, key, LIST, roots=roots)
        assert code == NO_CONNECTION, said


class Load:
    """Calls without a pause, over an old connection and over new ones. None may fail."""

    def __init__(self, secured, stubs, pb, identity):
        self.secured, self._stubs, self._pb = secured, stubs, pb
        self.identity = identity
        self.failed, self.done = [], 0
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=calling) for calling in (self._stay, self._come_again)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, calls=20):
        """Waits for more calls."""
        wanted, waited = self.done + calls, threading.Event()
        for _ in range(int(CALL_SECONDS / support.LOOK_SECONDS)):
            if self.done >= wanted or self.failed:
                break
            waited.wait(support.LOOK_SECONDS)
        assert not self.failed, self.failed
        assert self.done >= wanted, "too few calls"

    def _stay(self):
        # The key is that of the moment; the connection keeps its certificate.
        with self.secured.channel(self.identity[0]) as channel:
            while not self._ended.is_set():
                self._call(channel, self.identity[1])

    def _come_again(self):
        while not self._ended.is_set():
            certificate, key = self.identity
            with self.secured.channel(certificate) as channel:
                self._call(channel, key)

    def _call(self, channel, key):
        stub = self._stubs.rpc.FaceMatchStub(channel)
        metadata = [("authorization", f"Bearer {key}")] if key else []
        request = self._pb.ListMatchesRequest(page_size=1)
        try:
            stub.ListMatches(request, metadata=metadata, timeout=CALL_SECONDS)
            self.done += 1
        except grpc.RpcError as error:
            self.failed.append(f"{error.code()} {error.details()}")


def test_keys_and_all_certificates_are_renewed_without_a_failed_call(renewed, stubs, pb):
    server, old = renewed.server, renewed.keys["kyc"]
    new = Key("kyc")
    with Load(renewed, stubs, pb, (renewed.certificate, old.text)) as load:
        # The key: both, then the caller's move, then the new one alone.
        renewed.write_callers([old, new])
        server.reload(CALLERS_READ)
        load.identity = (renewed.certificate, new.text)
        load.go_on()
        renewed.write_callers([new])
        server.reload(CALLERS_READ)
        load.go_on()

        # The server's pair, of an authority that callers trust already.
        pair = renewed.servers.server()
        renewed.write_pair(pair)
        server.reload(TLS_READ)
        assert renewed.certificate_in_use(renewed.certificate).split() == pair.cert.split()
        load.go_on()

        # The callers' authority: both, then the callers' move, then the new one alone.
        authority = Authority("clients")
        certificate = authority.client("kyc.internal")
        renewed.write("client-ca.pem", renewed.clients.pem + authority.pem)
        server.reload(TLS_READ)
        load.identity = (certificate, new.text)
        load.go_on()
        renewed.write("client-ca.pem", authority.pem)
        server.reload(TLS_READ)
        load.go_on()
    assert load.failed == []

    with renewed.stub(stubs, certificate, old.text) as stub:
        told = support.refusal(refused(lambda: stub.ListMatches(pb.ListMatchesRequest())))
        assert told.reason == "CREDENTIAL_INVALID"
    with renewed.stub(stubs, renewed.certificate, new.text) as stub:
        error = refused(lambda: stub.ListMatches(pb.ListMatchesRequest(), timeout=CALL_SECONDS))
        assert error.code() == StatusCode.UNAVAILABLE, "its authority was withdrawn"


def test_the_stream_of_a_withdrawn_key_ends_and_resumes_with_the_new_one(
    renewed, stubs, pb, simulator, folder_id, portrait
):
    old, new = renewed.keys["kyc"], Key("kyc")
    renewed.write_callers([old, new])
    renewed.server.reload(CALLERS_READ)
    simulator.slow(folder_id)
    with (
        renewed.stub(stubs, renewed.certificate, old.text) as before,
        renewed.stub(stubs, renewed.certificate, new.text) as after,
    ):
        seen = []
        stream = before.RunMatch(match_request(pb, folder_id, portrait), timeout=CALL_SECONDS)
        while not seen or seen[-1].match.state != pb.MATCH_STATE_PROCESSING:
            seen.append(next(stream))
        kept = after.WatchMatch(
            pb.WatchMatchRequest(match_id=seen[-1].match_id), timeout=CALL_SECONDS
        )
        next(kept)

        renewed.write_callers([new])
        renewed.server.reload(CALLERS_READ)
        told = support.refusal(refused(lambda: next(stream)))
        assert (told.code, told.reason) == (StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED")

        simulator.hurry()
        resumed = pb.WatchMatchRequest(
            match_id=seen[-1].match_id, after_sequence=seen[-1].sequence
        )
        seen += after.WatchMatch(resumed, timeout=CALL_SECONDS)
        assert [update.sequence for update in seen] == [1, 2, 3, 4]
        assert seen[-1].match.result.resolution == pb.RESOLUTION_SUCCESS
        assert [update.sequence for update in kept] == [2, 3, 4], "the other key's stream went on"
