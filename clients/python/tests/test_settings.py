"""What a client accepts, and how it connects."""

import pytest

import facematch
from facematch._settings import Endpoint, is_loopback
from facematch._tokens import Token


def endpoint(target, **arguments):
    given = dict.fromkeys(("plaintext", "ca_file", "cert_file", "key_file", "server_name"))
    given |= {"limits": facematch.Limits(), "options": (), **arguments}
    return Endpoint.parse(target, **given)


@pytest.mark.parametrize(
    ("target", "is_plaintext"),
    [
        ("localhost:50051", True),
        ("127.0.0.1:50051", True),
        ("127.8.8.8:1", True),
        ("[::1]:50051", True),
        ("unix:/run/facematch.sock", True),
        ("dns:///localhost:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("facematch:50051", False),
        ("10.0.0.1:50051", False),
        ("dns:///facematch.example:443", False),
        ("localhost.example:50051", False),
        ("http://facematch:50051", True),
        ("https://localhost:50051", False),
    ],
)
def test_plaintext_is_for_this_machine_unless_it_is_chosen(target, is_plaintext):
    assert endpoint(target).plaintext is is_plaintext


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://facematch:50051", "facematch:50051"),
        ("https://facematch.example", "facematch.example:443"),
        ("https://facematch.example/", "facematch.example:443"),
        ("http://[::1]:50051", "[::1]:50051"),
        ("http://[::1]", "[::1]:80"),
    ],
)
def test_urls_are_accepted(url, target):
    assert endpoint(url).target == target


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("", {}),
        ("https://facematch/path", {}),
        ("https://facematch", {"plaintext": True}),
        ("http://facematch:1", {"plaintext": False}),
        ("facematch:1", {"cert_file": __file__}),
        ("facematch:1", {"key_file": __file__}),
        ("facematch:1", {"plaintext": True, "ca_file": __file__}),
        ("facematch:1", {"ca_file": "/nonexistent/ca.pem"}),
    ],
)
def test_settings_that_conflict_are_refused(target, arguments):
    with pytest.raises(facematch.UsageError):
        endpoint(target, **arguments)


def test_a_certificate_asks_for_tls_on_this_machine_too():
    assert not endpoint("localhost:1", ca_file=__file__).plaintext


def test_loopback_is_certain():
    assert not is_loopback("127.0.0.1.example:1")
    assert not is_loopback("[::2]:1")


def test_the_callers_channel_options_win():
    options = dict(endpoint("localhost:1", options=[("grpc.enable_retries", 1)]).channel_options())
    assert options["grpc.enable_retries"] == 1
    assert options["grpc.use_local_subchannel_pool"] == 1


def test_calls_are_spread_over_the_addresses_of_a_name():
    assert ("grpc.lb_policy_name", "round_robin") in endpoint("dns:///a:1").channel_options()


@pytest.mark.parametrize("client", [facematch.Client, facematch.AsyncClient])
def test_a_token_needs_tls_or_a_permission(client):
    with pytest.raises(facematch.UsageError) as raised:
        client("http://facematch:1", token="fm_a_secret")
    assert "secret" not in str(raised.value)
    client("http://facematch:1", token="fm_a_secret", allow_plaintext_token=True)
    client("127.0.0.1:1", token="fm_a_secret")
    client("facematch:1", token="fm_a_secret")


@pytest.mark.parametrize("wrong", ["", "two words", "line\nbreak", "naïve", 7])
def test_a_wrong_token_is_refused_and_not_quoted(wrong):
    with pytest.raises(facematch.UsageError) as raised:
        Token(wrong, None).read() if isinstance(wrong, str) else Token(lambda: wrong, None).read()
    assert not wrong or str(wrong) not in str(raised.value)


def test_a_token_file_is_read_for_each_call(tmp_path):
    file = tmp_path / "token"
    file.write_text("one\n")
    token = Token(None, file)
    assert token.read() == "one"
    file.write_text("two")
    assert token.read() == "two"
    file.unlink()
    with pytest.raises(facematch.UsageError):
        token.read()


def test_a_token_function_is_asked_for_each_call():
    tokens = iter(["one", "two"])
    token = Token(lambda: next(tokens), None)
    assert [token.read(), token.read()] == ["one", "two"]


def test_a_token_has_one_source(tmp_path):
    with pytest.raises(facematch.UsageError):
        Token("one", tmp_path)
