"""The service behind a real nginx and a real Envoy, with the settings in docs/proxies.md."""

import http.client
import json
import os
import subprocess
import sysconfig
import time
from pathlib import Path

import canary
import documents
import grpc
import pytest
import support
from support import CALL_SECONDS

NGINX, ENVOY = (
    documents.block("docs/proxies.md", "upstream facematch"),
    documents.block("docs/proxies.md", "static_resources"),
)

# The addresses of the service and of the proxy in the document.
SERVICE, PROXY = "127.0.0.1:50051", "127.0.0.1:50052"

# Longer than the 15 seconds after which Envoy ends a route by default.
LONG_MS = 17_000

PHOTO_BYTES = 9 << 20


def settings(block, service, proxy):
    """The document's settings for a proxy, with the addresses of this test."""
    for written, real in ((SERVICE, service), (PROXY, proxy)):
        host, port = written.split(":")
        apart = f"address: {host}, port_value: {port}"
        assert (written in block) != (apart in block), f"{written} is not once in {block}"
        _, real_port = real.split(":")
        block = block.replace(written, real)
        block = block.replace(apart, f"address: {host}, port_value: {real_port}")
    return block


def nginx(folder, service, proxy):
    """The settings around the document's part only keep nginx inside its folder."""
    document = settings(NGINX, service, proxy)
    temporary = "".join(
        f"{what}_temp_path {folder}/{what};\n"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{document}}}\n"
    )
    program = os.environ["FACEMATCH_NGINX"]
    return [program, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]


def envoy(folder, service, proxy):
    (folder / "envoy.yaml").write_text(settings(ENVOY, service, proxy))
    program = Path(sysconfig.get_path("scripts")) / "envoy"
    quiet = ["--log-level", "error", "--disable-hot-restart", "--concurrency", "1"]
    return [program, "-c", folder / "envoy.yaml", *quiet]


class Proxy:
    """A proxy in front of the service, and a channel to it."""

    def __init__(self, command, folder, service):
        self.folder = folder
        self.log = folder / "proxy.log"
        address = f"127.0.0.1:{support.free_port()}"
        with open(self.log, "wb") as log:
            arguments = [str(argument) for argument in command(folder, service, address)]
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])

    def wait(self):
        try:
            grpc.channel_ready_future(self.channel).result(support.READY_SECONDS)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"it doesn't listen: {self.log.read_text()}") from None

    def stop(self):
        self.channel.close()
        self._process.terminate()
        self._process.wait(support.STOP_SECONDS)


@pytest.fixture(params=[nginx, envoy], ids=["nginx", "envoy"])
def proxy(request, server, tmp_path):
    proxy = Proxy(request.param, tmp_path, server.address)
    try:
        proxy.wait()
        yield proxy
    finally:
        proxy.stop()


@pytest.fixture
def behind(proxy, stubs, search):
    return canary.Answers(stubs.rpc.FaceMatchStub(proxy.channel), search)


def large(jpeg):
    """The picture with comments that make it as large as a phone's photo."""
    comment = b"\xff\xfe\xff\xff" + b"." * 0xFFFD
    count = (PHOTO_BYTES - len(jpeg)) // len(comment)
    return jpeg[:2] + comment * count + jpeg[2:]


def slow_down(simulator, folder_id, milliseconds):
    """Makes the analyses of a folder take this long."""
    rule = {
        "name": "a long analysis",
        "match": {"endpoint": "start_analyses", "folder": folder_id},
        "then": {"outcome": {"processing_ms": milliseconds}},
    }
    body = json.dumps({"version": 1, "rules": [rule]})
    host = simulator.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=CALL_SECONDS)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/sim/script", body, headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert answer.status in (200, 201), text


def test_a_large_photo_and_a_long_stream_pass(
    pb, proxy, behind, simulator, folder_id, portrait, request_id
):
    slow_down(simulator, folder_id, LONG_MS)
    photo = pb.ReferencePhoto(content=large(portrait), file_name=canary.FILE_NAME)
    began = time.monotonic()
    request = pb.MatchRequest(request_id=request_id, folder_id=folder_id, photo=photo)
    updates = list(behind.RunMatch(request, timeout=CALL_SECONDS))
    assert updates[-1].match.state == pb.MATCH_STATE_FINISHED
    assert updates[-1].match.result.resolution == pb.RESOLUTION_SUCCESS
    assert time.monotonic() - began >= LONG_MS / 1000, "the stream wasn't long"
    on_disk = [path for path in proxy.folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_size < len(portrait) for path in on_disk), f"the photo: {on_disk}"


def test_a_refusal_passes_with_its_details(pb, behind):
    with pytest.raises(grpc.RpcError) as caught:
        behind.GetMatch(pb.GetMatchRequest(request_id="nothing-of-that-name"), timeout=CALL_SECONDS)
    told = support.refusal(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "MATCH_NOT_FOUND")
