"""clients/service-config.json in a real client: which calls of bare stubs gRPC repeats by itself."""

import contextlib
from concurrent import futures

import grpc
import pytest
from support import CALL_SECONDS, ROOT

SERVICE = "facematch.v1.FaceMatch"
CONFIG = ROOT / "clients/service-config.json"

# How often the service fails before it answers: one less than the attempts of the policy.
FAILURES = 4

# As the service asks for a delay: shorter than the policy's backoff, so that no test takes seconds.
PUSHBACK = (("grpc-retry-pushback-ms", "1"),)

# Each method: whether it answers with a stream, and whether gRPC repeats it.
METHODS = {
    "RunMatch": (True, False),
    "CreateMatch": (False, False),
    "GetMatch": (False, True),
    "WaitMatch": (False, True),
    "WatchMatch": (True, True),
    "WatchMatches": (True, True),
    "ListMatches": (False, True),
    "CancelMatch": (False, True),
    "DeleteMatch": (False, False),
}


class Failing(grpc.GenericRpcHandler):
    """A service that refuses the first calls with this code, and counts all of them."""

    def __init__(self, code, failures=FAILURES, trailers=PUSHBACK, begins=False):
        self.calls = []
        self._code, self._failures, self._trailers = code, failures, trailers
        self._begins = begins

    def service(self, details):
        service, method = details.method.removeprefix("/").split("/")
        if service != SERVICE:
            # gRPC asks for the server's health, and takes a server without that service as healthy.
            return None
        is_stream, _ = METHODS[method]
        make = (
            grpc.unary_stream_rpc_method_handler
            if is_stream
            else grpc.unary_unary_rpc_method_handler
        )
        return make(lambda request, context: self._answer(method, is_stream, context))

    def _answer(self, method, is_stream, context):
        self.calls.append(method)
        if len(self.calls) <= self._failures:
            if self._begins:
                context.send_initial_metadata(())
            context.set_trailing_metadata(self._trailers)
            context.abort(self._code, "refused for a test")
        return iter([b""]) if is_stream else b""


@contextlib.contextmanager
def channel_to(handler):
    """A channel with the published configuration to a server of this handler."""
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    options = [("grpc.service_config", CONFIG.read_text())]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield channel
    server.stop(None).wait()


def call(channel, method, seconds=CALL_SECONDS):
    """Calls a method to its end."""
    is_stream, _ = METHODS[method]
    make = channel.unary_stream if is_stream else channel.unary_unary
    answer = make(f"/{SERVICE}/{method}")(b"", timeout=seconds)
    return list(answer) if is_stream else answer


@pytest.mark.parametrize("method", [name for name, (_, repeats) in METHODS.items() if repeats])
def test_a_call_that_changes_nothing_is_repeated(method):
    handler = Failing(grpc.StatusCode.UNAVAILABLE)
    with channel_to(handler) as channel:
        call(channel, method)
    assert handler.calls == [method] * (FAILURES + 1)


@pytest.mark.parametrize("method", [name for name, (_, repeats) in METHODS.items() if not repeats])
def test_a_call_that_makes_or_erases_a_match_is_not_repeated(method):
    handler = Failing(grpc.StatusCode.UNAVAILABLE)
    with channel_to(handler) as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel, method)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert handler.calls == [method]


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"])
def test_only_unavailable_is_repeated(code):
    handler = Failing(grpc.StatusCode[code])
    with channel_to(handler) as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel, "GetMatch")
    assert refused.value.code() == grpc.StatusCode[code]
    assert handler.calls == ["GetMatch"]


def test_the_delay_that_the_server_asks_for_is_kept():
    hour = (("grpc-retry-pushback-ms", "3600000"),)
    handler = Failing(grpc.StatusCode.UNAVAILABLE, failures=1, trailers=hour)
    with channel_to(handler) as channel, pytest.raises(grpc.RpcError) as ended:
        # By the policy alone, the repeat comes within 0.2 s and is answered.
        call(channel, "GetMatch", seconds=1)
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert handler.calls == ["GetMatch"]


def test_a_stream_that_has_begun_is_not_repeated():
    handler = Failing(grpc.StatusCode.UNAVAILABLE, begins=True)
    with channel_to(handler) as channel, pytest.raises(grpc.RpcError):
        call(channel, "WatchMatch")
    assert handler.calls == ["WatchMatch"]


def test_a_match_is_read_over_a_real_server(server, stubs, pb, folder_id, portrait):
    config = CONFIG.read_text()
    with grpc.insecure_channel(server.address, [("grpc.service_config", config)]) as channel:
        stub = stubs.rpc.FaceMatchStub(channel)
        photo = pb.ReferencePhoto(content=portrait)
        request = pb.MatchRequest(folder_id=folder_id, photo=photo)
        updates = list(stub.RunMatch(request, timeout=CALL_SECONDS))
        asked = pb.GetMatchRequest(match_id=updates[-1].match_id)
        assert stub.GetMatch(asked, timeout=CALL_SECONDS).state == pb.MATCH_STATE_FINISHED
