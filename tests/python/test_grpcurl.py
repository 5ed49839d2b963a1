"""The service as seen by grpcurl: without the proto, by reflection only."""

import base64
import json
import re
import subprocess

import canary
import pytest
from support import CALL_SECONDS

INVALID_ARGUMENT = 3


@pytest.fixture
def call(grpcurl):
    """Runs the real grpcurl and returns its output."""

    def run(*arguments, data=None, exit_code=0):
        options = ["-plaintext", "-max-time", str(CALL_SECONDS)]
        if data is not None:
            options += ["-d", "@"]
        done = subprocess.run(
            [grpcurl.program, *options, grpcurl.address, *arguments],
            input=json.dumps(data or {}),
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS + 10,
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        grpcurl.search.check("what grpcurl says", (done.stdout + done.stderr).encode())
        return done.stdout if exit_code == 0 else done.stderr

    return run


def messages(text):
    """The JSON objects that grpcurl has printed, in order, with the proto's field names.

    grpcurl prints folderId or folder_id, depending on the server's reflection.
    """
    decoder = json.JSONDecoder(object_pairs_hook=proto_names)
    found, text = [], text.lstrip()
    while text:
        message, end = decoder.raw_decode(text)
        found.append(message)
        text = text[end:].lstrip()
    return found


def proto_names(pairs):
    return {re.sub("[A-Z]", lambda c: "_" + c[0].lower(), name): value for name, value in pairs}


def match_request(folder_id, photo):
    content = base64.b64encode(photo).decode()
    return {"folderId": folder_id, "photo": {"content": content, "fileName": canary.FILE_NAME}}


def test_reflection_lists_the_services(call):
    services = call("list").split()

    assert "facematch.v1.FaceMatch" in services
    assert "grpc.health.v1.Health" in services
    assert any(service.startswith("grpc.reflection.") for service in services)


def test_reflection_lists_the_rpcs(call):
    rpcs = {name.rpartition(".")[2] for name in call("list", "facematch.v1.FaceMatch").split()}

    assert rpcs == {
        "RunMatch", "CreateMatch", "GetMatch", "WaitMatch", "WatchMatch", "WatchMatches",
        "ListMatches", "CancelMatch", "DeleteMatch",
    }


def test_reflection_describes_the_service_and_its_messages(call):
    service = " ".join(call("describe", "facematch.v1.FaceMatch").split())
    assert (
        "rpc RunMatch ( .facematch.v1.MatchRequest ) returns ( stream .facematch.v1.MatchUpdate );"
        in service
    )

    message = call("describe", "facematch.v1.MatchRequest")
    assert "string folder_id = 2;" in message


def test_a_match_is_streamed_to_its_verdict(call, folder_id, portrait):
    request = match_request(folder_id, portrait)
    updates = messages(call("facematch.v1.FaceMatch/RunMatch", data=request))

    assert [update["match"]["state"] for update in updates] == [
        "MATCH_STATE_ACCEPTED",
        "MATCH_STATE_UPLOADED",
        "MATCH_STATE_PROCESSING",
        "MATCH_STATE_FINISHED",
    ]
    assert [update["sequence"] for update in updates] == ["1", "2", "3", "4"]
    verdict = updates[-1]["match"]["result"]
    assert verdict["resolution"] == "RESOLUTION_SUCCESS"
    assert 0 <= verdict["min_confidence"] <= 1


def test_a_stranger_is_declined(call, folder_id, stranger):
    request = match_request(folder_id, stranger)
    updates = messages(call("facematch.v1.FaceMatch/RunMatch", data=request))

    assert updates[-1]["match"]["result"]["resolution"] == "RESOLUTION_DECLINED"


def test_a_bad_request_shows_its_details(call, portrait):
    request = match_request("not-a-uuid", portrait) | {"requestId": "r" * 129}
    # grpcurl exits with 64 + the code.
    told = call("facematch.v1.FaceMatch/RunMatch", data=request, exit_code=64 + INVALID_ARGUMENT)

    assert "Code: InvalidArgument" in told
    assert '"@type": "type.googleapis.com/google.rpc.ErrorInfo"' in told
    assert '"domain": "facematch"' in told
    assert '"reason": "FIELD_INVALID"' in told
    assert '"@type": "type.googleapis.com/google.rpc.BadRequest"' in told
    for field in ("folder_id", "request_id"):
        assert f'"field": "{field}"' in told


@pytest.mark.parametrize("service", ["", "facematch.v1.FaceMatch"])
def test_health_is_served(call, service):
    answer = call("grpc.health.v1.Health/Check", data={"service": service})

    assert messages(answer) == [{"status": "SERVING"}]
