"""Tokens of a real OpenID provider, on the loopback interface: discovery, key set, rotation, outage."""

import base64
import datetime
import json
import threading
import time
import urllib.parse
import urllib.request
import warnings

import flask
import grpc
import pytest
import support
import werkzeug.serving
from grpc import StatusCode
from secured import Secured
from support import CALL_SECONDS

# The provider uses interfaces that its own libraries deprecate.
with warnings.catch_warnings(record=True):
    import oidc_provider_mock
    from authlib import jose

# The service asks a provider for its keys again after a failure, or for an unknown key, once in
# 30 seconds.
ASKED_AGAIN_SECONDS = 45
PAUSE_SECONDS = 0.5

AUDIENCE, HOUR = "facematch", datetime.timedelta(hours=1)

# The claims of the users: the tenant and the permissions.
USERS = {
    "batch": {"org": "retail", "facematch": ["match", "read"]},
    "report": {"org": "retail", "facematch": "profile read"},
    "stranger": {"org": "wholesale", "facematch": ["read"]},
    "nothing": {"org": "retail"},
}

ISSUER = """
[issuer."{url}"]
audiences = ["facematch"]
algorithms = ["RS256"]
tenant-claim = "org"
permissions-claim = "facematch"
"""


class Provider:
    """An OpenID provider, which issues ID tokens for these users. They name no key: it has one."""

    def __init__(self, lifetime=HOUR):
        users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in USERS.items()]
        self._app = oidc_provider_mock.app(user_claims=users, access_token_max_age=lifetime)
        self._app.before_request(self._use_key)
        self.port = support.free_port()
        self.url = f"http://localhost:{self.port}"
        self.rotate()
        self._server = None
        self.start()

    def rotate(self):
        """Makes a new key, and forgets the old one."""
        self._key = jose.RSAKey.generate_key(is_private=True)

    def _use_key(self):
        flask.g.oidc_provider_mock_storage.jwk = self._key

    def start(self):
        self._server = werkzeug.serving.make_server(
            "127.0.0.1", self.port, self._app, threaded=True
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def token(self, user="batch", audience=AUDIENCE):
        """An ID token, by the authorization code flow of OpenID Connect."""
        callback = "http://localhost/callback"
        asked = {
            "client_id": audience,
            "redirect_uri": callback,
            "response_type": "code",
            "scope": "openid",
        }
        place = f"/oauth2/authorize?{urllib.parse.urlencode(asked)}"
        with self._post(place, {"sub": user}) as answer:
            location = urllib.parse.urlparse(answer.headers["Location"])
        code = urllib.parse.parse_qs(location.query)["code"][0]
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
        wanted |= {"client_id": audience, "client_secret": "any"}
        with self._post("/oauth2/token", wanted) as answer:
            return json.load(answer)["id_token"]

    def _post(self, path, form):
        body = urllib.parse.urlencode(form).encode()
        return OPENER.open(self.url + path, body, timeout=CALL_SECONDS)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Returns a redirect as the answer that it is."""

    def http_error_302(self, request, answer, *_):
        return answer


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


@pytest.fixture(scope="module")
def providers():
    made = {name: Provider() for name in ("steady", "rotating", "late", "down")}
    # This one issues tokens that have expired already.
    made["hasty"] = Provider(lifetime=-HOUR)
    yield made
    for provider in made.values():
        provider.stop()


@pytest.fixture(scope="module")
def early(providers):
    """Tokens of the providers that are down when the service starts."""
    tokens = {name: providers[name].token() for name in ("late", "down")}
    for name in tokens:
        providers[name].stop()
    return tokens


@pytest.fixture(scope="module")
def secured(providers, early, simulator, search, tmp_path_factory):
    issuers = "".join(ISSUER.format(url=provider.url) for provider in providers.values())
    folder = tmp_path_factory.mktemp("tokens")
    secured = Secured(simulator, folder, search, client_auth="optional", more=issuers)
    yield secured
    secured.stop()


@pytest.fixture
def stub(secured, stubs):
    with secured.stub(stubs, None) as stub:
        yield stub


@pytest.fixture
def listed(secured, stub, pb):
    """Lists with a token: the reason of the refusal, or None."""

    def call(token):
        metadata = [("authorization", f"Bearer {secured.shown(token)}")]
        request = pb.ListMatchesRequest(page_size=1)
        try:
            stub.ListMatches(request, metadata=metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            return support.refusal(error).reason
        return None

    return call


def until(accepted):
    ends = time.monotonic() + ASKED_AGAIN_SECONDS
    while not accepted():
        assert time.monotonic() < ends, "the provider's keys are not used"
        time.sleep(PAUSE_SECONDS)


def test_a_token_of_the_provider_runs_a_match(
    secured, stubs, pb, providers, folder_id, portrait, request_id
):
    token = secured.shown(providers["steady"].token())
    photo = pb.ReferencePhoto(content=portrait)
    request = pb.MatchRequest(request_id=request_id, folder_id=folder_id, photo=photo)
    with secured.stub(stubs, None, token) as stub:
        *_, last = stub.RunMatch(request, timeout=CALL_SECONDS)
        assert last.match.result.resolution == pb.RESOLUTION_SUCCESS
        erase = pb.DeleteMatchRequest(match_id=last.match_id)
        with pytest.raises(grpc.RpcError) as caught:
            stub.DeleteMatch(erase, timeout=CALL_SECONDS)
    told = support.refusal(caught.value)
    assert (told.code, told.reason) == (StatusCode.PERMISSION_DENIED, "CALL_FORBIDDEN")
    assert told.metadata["permission"] == "erase"
    # The match is the tenant's, so another caller of the tenant reads it, and the log names both.
    with secured.stub(stubs, None, secured.keys["reports"].text) as stub:
        query = pb.GetMatchRequest(request_id=request_id)
        assert stub.GetMatch(query, timeout=CALL_SECONDS).match_id == last.match_id
    audited = [json.loads(line) for line in (secured.folder / "audit.log").open()]
    run = [line for line in audited if line.get("match_id") == last.match_id][0]
    expected = {
        "tenant": "retail", "caller": "batch", "credential": f"{providers['steady'].url} batch"
    }
    assert expected.items() <= run.items()


def test_claims_and_signatures_decide(providers, listed):
    steady = providers["steady"]
    assert listed(steady.token("report")) is None
    assert listed(steady.token("nothing")) == "CALL_FORBIDDEN"
    assert listed(steady.token("stranger")) == "CREDENTIAL_INVALID"
    assert listed(steady.token(audience="billing")) == "CREDENTIAL_INVALID"
    assert listed(providers["hasty"].token()) == "CREDENTIAL_EXPIRED"
    head, claims, signature = steady.token().split(".")
    _, other_claims, _ = steady.token("report").split(".")
    assert listed(f"{head}.{other_claims}.{signature}") == "CREDENTIAL_INVALID"
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert listed(f"{unsigned}.{claims}.") == "CREDENTIAL_INVALID"


def test_a_provider_that_comes_up_later_is_found(early, providers, listed):
    providers["late"].start()
    until(lambda: listed(early["late"]) is None)


def test_a_key_that_the_provider_has_replaced_is_learned_and_the_old_one_forgotten(
    providers, listed
):
    rotating = providers["rotating"]
    old = rotating.token()
    assert listed(old) is None
    rotating.rotate()
    new = rotating.token()
    until(lambda: listed(new) is None)
    assert listed(old) == "CREDENTIAL_INVALID"


def test_tokens_are_accepted_while_their_provider_is_down(providers, listed):
    steady = providers["steady"]
    token, unseen = steady.token(), steady.token("report")
    assert listed(token) is None
    steady.stop()
    try:
        assert listed(token) is None
        assert listed(unseen) is None, "the keys are known"
    finally:
        steady.start()


def test_a_provider_that_is_down_at_the_start_refuses_only_its_own_tokens(
    early, providers, listed, secured
):
    assert listed(early["down"]) == "CREDENTIAL_INVALID"
    assert listed(secured.keys["kyc"].text) is None
    assert listed(providers["steady"].token()) is None
