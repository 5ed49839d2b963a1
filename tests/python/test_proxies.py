"""The service behind a real nginx and a real Envoy, with the settings in docs/proxies.md."""

import base64
import http.client
import json
import os
import ssl
import subprocess
import sysconfig
import time
from pathlib import Path

import canary
import documents
import grpc
import httpx
import pytest
import support
from authority import Authority
from support import CALL_SECONDS

NGINX, ENVOY, NGINX_WEB = (
    documents.block("docs/proxies.md", "upstream facematch {"),
    documents.block("docs/proxies.md", "static_resources"),
    documents.block("docs/proxies.md", "upstream facematch_web {"),
)

# The addresses of the service and of the proxy in the document.
SERVICE, PROXY = "127.0.0.1:50051", "127.0.0.1:50052"

# The same of the port for browsers. Only nginx's settings for it name the address for browsers.
WEB, NGINX_WEB_LISTENS = "127.0.0.1:50053", "listen 443 "
SITE = "desk.example"

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
    return nginx_with(settings(NGINX, service, proxy), folder)


def nginx_web(folder, service, proxy):
    assert NGINX_WEB.count(WEB) == NGINX_WEB.count(NGINX_WEB_LISTENS) == 1
    document = NGINX_WEB.replace(WEB, service).replace(NGINX_WEB_LISTENS, f"listen {proxy} ")
    return nginx_with(document, folder)


def nginx_with(document, folder):
    """The settings around the document's part only keep nginx inside its folder."""
    temporary = "".join(
        f"{what}_temp_path {folder}/{what};\n"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {folder}/pid;\nerror_log stderr warn;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{document}}}\n"
    )
    program = os.environ["FACEMATCH_NGINX"]
    return [program, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]


def envoy(folder, service, proxy):
    return envoy_with(settings(ENVOY, service, proxy), folder)


def envoy_web(folder, service, proxy):
    """What the document says about Envoy for this port, TLS left out."""
    document = settings(ENVOY, service, proxy)
    assert document.count("codec_type: HTTP2") == 1
    return envoy_with(document.replace("codec_type: HTTP2", "codec_type: AUTO"), folder)


def envoy_with(document, folder):
    (folder / "envoy.yaml").write_text(document)
    program = Path(sysconfig.get_path("scripts")) / "envoy"
    quiet = ["--log-level", "error", "--disable-hot-restart", "--concurrency", "1"]
    return [program, "-c", folder / "envoy.yaml", *quiet]


class Proxy:
    """A proxy in front of the service, from its start."""

    def __init__(self, command, folder, service):
        self.folder = folder
        self.log = folder / "proxy.log"
        self.address = f"127.0.0.1:{support.free_port()}"
        with open(self.log, "wb") as log:
            arguments = [str(argument) for argument in command(folder, service, self.address)]
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self):
        self._process.terminate()
        self._process.wait(support.STOP_SECONDS)

    def has_no_file_of(self, size):
        """Checks that no photo, which is as large as this at least, is on the proxy's disk.

        nginx removes the name of a temporary file at once, and warns that it has written one.
        """
        on_disk = [path for path in self.folder.rglob("*") if path.is_file()]
        assert all(path.stat().st_size < size for path in on_disk), f"the photo: {on_disk}"
        assert "temporary file" not in self.log.read_text()


@pytest.fixture(params=[nginx, envoy], ids=["nginx", "envoy"])
def proxy(request, server, tmp_path):
    proxy = Proxy(request.param, tmp_path, server.address)
    yield proxy
    proxy.stop()


@pytest.fixture
def behind(proxy, stubs, search):
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(proxy.address, options=options) as channel:
        try:
            grpc.channel_ready_future(channel).result(support.READY_SECONDS)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"it doesn't listen: {proxy.log.read_text()}") from None
        yield canary.Answers(stubs.rpc.FaceMatchStub(channel), search)


@pytest.fixture(scope="module")
def web_server(simulator, search, tmp_path_factory):
    """A service with the port for browsers, and the settings of the document for it."""
    folder = tmp_path_factory.mktemp("web")
    port = support.free_port()
    settings = ["--web-listen", f"127.0.0.1:{port}", "--web-origins", f"https://{SITE}"]
    server = support.Server(os.environ["FACEMATCH_BIN"], simulator, folder, settings=settings)
    server.web = f"127.0.0.1:{port}"
    yield server
    server.stop()
    canary.Written(server, search).check()


@pytest.fixture(params=[nginx_web, envoy_web], ids=["nginx", "envoy"])
def web_proxy(request, web_server, tmp_path):
    authority = Authority("desk")
    pair = authority.server()
    (tmp_path / "desk.pem").write_bytes(pair.cert)
    (tmp_path / "desk-key.pem").write_bytes(pair.key)
    proxy = Proxy(request.param, tmp_path, web_server.web)
    proxy.trust = ssl.create_default_context(cadata=authority.pem.decode())
    proxy.is_tls = request.param is nginx_web
    yield proxy
    proxy.stop()


@pytest.fixture
def browser(web_proxy):
    """A client that sends what a browser does for a page of the site; over HTTP/2 if it has TLS."""
    scheme, port = "https" if web_proxy.is_tls else "http", web_proxy.address.rpartition(":")[2]
    with httpx.Client(
        base_url=f"{scheme}://localhost:{port}/facematch.v1.FaceMatch",
        headers={"Host": SITE, "Origin": f"https://{SITE}"},
        http2=web_proxy.is_tls,
        verify=web_proxy.trust,
        timeout=CALL_SECONDS,
        trust_env=False,
    ) as client:
        wait_until_it_listens(client, web_proxy)
        yield client


def wait_until_it_listens(client, proxy):
    ends = time.monotonic() + support.READY_SECONDS
    while True:
        try:
            return client.options("GetMatch")
        except httpx.TransportError as error:
            told = f"it doesn't listen: {error} {proxy.log.read_text()}"
            assert time.monotonic() < ends, told
            time.sleep(support.LOOK_SECONDS)


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
    proxy.has_no_file_of(len(portrait))


def test_a_refusal_passes_with_its_details(pb, behind):
    with pytest.raises(grpc.RpcError) as caught:
        behind.GetMatch(pb.GetMatchRequest(request_id="nothing-of-that-name"), timeout=CALL_SECONDS)
    told = support.refusal(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "MATCH_NOT_FOUND")


def test_a_page_s_large_photo_and_long_streams_pass(
    pb, web_proxy, browser, search, simulator, folder_id, portrait, request_id
):
    slow_down(simulator, folder_id, LONG_MS)
    photo = {"content": base64.b64encode(large(portrait)).decode(), "fileName": canary.FILE_NAME}
    request = {"requestId": request_id, "folderId": folder_id, "photo": photo}
    began = time.monotonic()
    with browser.stream("POST", "RunMatch", json=request) as ran:
        events = ran.iter_lines()
        first = next(events)
        assert (ran.status_code, first) == (200, "event: accepted")
        assert ran.http_version == ("HTTP/2" if web_proxy.is_tls else "HTTP/1.1")
        # In the other form of streams, beside the first one: over HTTP/2 on one connection.
        watch = framed(pb.WatchMatchRequest(request_id=request_id))
        headers = {"Content-Type": "application/grpc-web+proto"}
        with browser.stream("POST", "WatchMatch", content=watch, headers=headers) as watched:
            updates = watched.iter_raw()
            seen = next(updates)
            assert time.monotonic() - began < LONG_MS / 1000, "updates were kept back"
            seen += b"".join(updates)
        told = [first, *events]
    assert time.monotonic() - began >= LONG_MS / 1000, "the streams weren't long"
    assert [line for line in told if line.startswith("event:")][-2:] == [
        "event: finished",
        "event: end",
    ]
    assert "RESOLUTION_SUCCESS" in told[-5], told[-5:]
    assert b"grpc-status:0" in seen[-40:].replace(b" ", b""), "the call has no good end"
    search.check("the answers", "\n".join(told).encode() + seen)
    web_proxy.has_no_file_of(len(portrait))


def framed(message):
    """A message as gRPC-Web sends it."""
    data = message.SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


def test_behind_a_proxy_pages_of_the_site_alone_may_call(browser):
    def status(**headers):
        return browser.post("GetMatch", json={"requestId": "none"}, headers=headers).status_code

    assert status() == 404, "there is no such match"
    assert status(Origin="https://other.example") == 403
    assert status(Host="other.example") == 403
