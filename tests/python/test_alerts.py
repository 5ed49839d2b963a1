"""The rules and the dashboard of `deploy`: each alert is provoked once and fires in a real Prometheus."""

import http.server
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import documents
import grpc
import pytest
from authority import Authority
from exposition import DASHBOARD, RULES, alerts
from postgres import USER, Cluster
from prometheus import Prometheus
from secured import Key
from support import CALL_SECONDS, ROOT, Server, Simulator, free_port
from unread import UnreadStreams

OPERATING = ROOT / "docs/operating.md"

# The settings of a Prometheus, and where the package has its rules.
PROMETHEUS = documents.block("docs/operating.md", "rule_files:")
PACKAGED = "/usr/share/facematch/prometheus"

# How many scenes are played at once, and how long all of them may take.
SCENES_AT_ONCE = 6
SCENES_SECONDS = 600

# Each scene by the alert that it provokes.
SCENES = {}


def scene(alert):
    """Registers the function that provokes an alert."""

    def register(function):
        SCENES[alert] = function
        return function

    return register


class Stage:
    """Starts the servers and simulators of one scene, and ends them with it."""

    def __init__(self, prometheus, stubs, portrait, folder):
        self.prometheus, self.stubs, self.portrait, self.folder = prometheus, stubs, portrait, folder
        self._ends, self._made = ExitStack(), 0

    def simulator(self, **switches):
        simulator = self.ending(Simulator(os.environ["FACEMATCH_BIN"], self._place() / "sim.log"))
        self.switch(simulator, **switches)
        return simulator

    def switch(self, simulator, **switches):
        headers = {"Content-Type": "application/json"}
        simulator._call("PATCH", "/sim/switches", json.dumps(switches).encode(), headers)

    def server(self, simulator=None, settings=(), folder=None, descriptors=None):
        """A server that is scraped at its `admin` address, in front of its `simulator`."""
        admin = f"127.0.0.1:{free_port()}"
        simulator = simulator or self.simulator()
        server = Server(
            os.environ["FACEMATCH_BIN"],
            simulator,
            folder or self._place(),
            log_level="info",
            settings=["--admin-listen", admin, *map(str, settings)],
            descriptors=descriptors,
        )
        self.ending(server)
        self.watch(admin)
        server.admin, server.simulator = admin, simulator
        return server

    def watch(self, admin):
        self.prometheus.watch(admin)
        self._ends.callback(self.prometheus.forget, admin)

    def cluster(self):
        return self.ending(Cluster())

    def database(self, cluster):
        cluster.create("facematch")
        return ["--store", f"postgres://{USER}@127.0.0.1:{cluster.port}/facematch"]

    def ending(self, thing):
        self._ends.callback(thing.stop)
        return thing

    def closing(self, thing):
        self._ends.callback(thing.close)
        return thing

    def stub(self, server):
        channel = self._ends.enter_context(server.channel())
        return self.stubs.rpc.FaceMatchStub(channel)

    def create(self, server, photo=None, metadata=None, folder=None):
        """Creates a match, in a new folder unless one is given; `None` if it is refused."""
        with suppress(grpc.RpcError):
            return self.begin(server, photo, metadata, folder).result()
        return None

    def begin(self, server, photo=None, metadata=None, folder=None):
        """Begins to create a match: the call lasts until its photo is at Oz."""
        folder = folder or server.simulator.post_folder(self.portrait)
        named = self.stubs.pb.ReferencePhoto(content=photo or self.portrait)
        request = self.stubs.pb.MatchRequest(folder_id=folder, photo=named)
        create = self.stub(server).CreateMatch
        call = create.future(request, metadata=metadata, timeout=CALL_SECONDS)
        self._ends.callback(call.cancel)
        return call

    def wait(self, server, match):
        """Waits for the end of a match."""
        request = self.stubs.pb.WaitMatchRequest(match_id=match.match_id)
        return self.stub(server).WaitMatch(request, timeout=CALL_SECONDS)

    def close(self):
        self._ends.close()

    def tls(self):
        """The settings of a server whose certificate expires within a day."""
        pair = Authority("servers").server()
        (self.folder / "cert.pem").write_bytes(pair.cert)
        (self.folder / "key.pem").write_bytes(pair.key)
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        return ["--tls-cert-file", cert, "--tls-key-file", key]

    def _place(self):
        self._made += 1
        place = self.folder / str(self._made)
        place.mkdir()
        return place


@scene("FaceMatchReplicaDown")
def a_replica_dies(stage):
    server = stage.server()
    server.stop()
    return {"instance": server.admin}, None


@scene("FaceMatchJournalDown")
def the_database_goes_away(stage):
    cluster = stage.cluster()
    server = stage.server(settings=stage.database(cluster))
    cluster.stop()
    return {"instance": server.admin}, None


@scene("FaceMatchCommitsSlow")
def commits_wait_for_a_lock(stage):
    cluster = stage.cluster()
    server = stage.server(settings=stage.database(cluster))
    lock = "BEGIN; LOCK TABLE events IN EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT"

    def again():
        holder = cluster.sql("facematch", lock)
        stage.create(server)
        holder.wait()

    return {"instance": server.admin}, again


@scene("FaceMatchOzCircuitOpen")
def oz_is_out(stage):
    server = stage.server()
    folder = server.simulator.post_folder(stage.portrait)
    stage.switch(server.simulator, gateway={"status": 503})
    for _ in range(40):
        stage.begin(server, folder=folder)
    return {"instance": server.admin}, None


@scene("FaceMatchOzLoginRefused")
def oz_refuses_the_password(stage):
    server = stage.server(stage.simulator(login_refused=False))
    folder = server.simulator.post_folder(stage.portrait)
    stage.switch(server.simulator, login_refused=True)
    stage.begin(server, folder=folder)
    return {"instance": server.admin, "cause": "OZ_LOGIN_REFUSED"}, None


@scene("FaceMatchLibraryCircuitOpen")
def a_photo_library_is_away(stage):
    server = stage.server(settings=["--library", f"file://{stage.folder}/away"])
    folder = server.simulator.post_folder(stage.portrait)
    photo = stage.stubs.pb.ReferencePhoto(reference_key="people/17.jpg")
    request = stage.stubs.pb.MatchRequest(folder_id=folder, photo=photo)
    for _ in range(40):
        stage.stub(server).CreateMatch(request, timeout=CALL_SECONDS)
    return {"instance": server.admin, "tenant": "default", "source": "folder"}, None


@scene("FaceMatchVerdictsSlow")
def verdicts_take_a_second(stage):
    server = stage.server(stage.simulator(processing_ms=500))
    return {}, lambda: stage.create(server)


@scene("FaceMatchMatchesFail")
def matches_fail(stage):
    server = stage.server()
    rule = {"match": {}, "then": {"outcome": {"state": "FAILED"}}}
    server.simulator._post("/sim/script", {"version": 1, "rules": [rule]})
    return {}, lambda: stage.create(server)


@scene("FaceMatchCallsRefused")
def calls_are_refused(stage):
    server = stage.server(stage.simulator(processing_ms=600_000), ["--max-unfinished", 1])
    stage.create(server)
    return {"reason": "OVERLOADED"}, lambda: stage.create(server)


@scene("FaceMatchTenantAtLimit")
def a_tenant_uses_its_limit(stage):
    key, callers = Key("kyc"), stage.folder / "callers.toml"
    callers.write_text(
        "[tenant.bank.limits]\nunfinished = 1\n"
        '[caller.kyc]\ntenant = "bank"\nallow = ["match"]\n'
        f"keys = [{key.line}]\n"
    )
    slow = stage.simulator(processing_ms=600_000)
    server = stage.server(slow, ["--callers-file", callers])
    stage.create(server, metadata=[("authorization", f"Bearer {key.text}")])
    return {"instance": server.admin, "tenant": "bank", "limit": "unfinished-matches"}, None


@scene("FaceMatchPhotoMemoryFull")
def photos_wait_in_memory(stage):
    server = stage.server(settings=["--photo-memory", "10MiB"])
    folder = server.simulator.post_folder(stage.portrait)
    stage.switch(server.simulator, gateway={"status": 503})
    comment = b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    photo = stage.portrait[:2] + comment * 7 + stage.portrait[2:]
    for _ in range(22):
        stage.begin(server, photo, folder=folder)
    return {"instance": server.admin}, None


@scene("FaceMatchDescriptorsLow")
def descriptors_run_out(stage):
    few = ["--max-connections", 80, "--oz-max-requests", 4]
    server = stage.server(settings=few, descriptors=70)
    address = server.address.rsplit(":", 1)
    for _ in range(40):
        stage.closing(socket.create_connection((address[0], int(address[1]))))
    return {"instance": server.admin}, None


@scene("FaceMatchCertificateExpires")
def a_certificate_expires_tomorrow(stage):
    server = stage.server(settings=stage.tls())
    return {"instance": server.admin}, None


@scene("FaceMatchReloadFailed")
def a_certificate_is_damaged(stage):
    server = stage.server(settings=stage.tls())
    (stage.folder / "cert.pem").write_text("not a certificate")
    server.reload("TLS files unusable")
    return {"instance": server.admin, "kind": "tls"}, None


@scene("FaceMatchAuditDown")
def the_audit_file_is_full(stage):
    server = stage.server(settings=["--audit-file", "/dev/full"])
    return {"instance": server.admin}, lambda: stage.create(server)


@scene("FaceMatchLeasesLost")
def leases_are_deleted(stage):
    cluster = stage.cluster()
    server = stage.server(settings=[*stage.database(cluster), "--lease", "1s"])

    def again():
        assert cluster.sql("facematch", "DELETE FROM leases").wait() == 0

    return {"instance": server.admin}, again


@scene("FaceMatchStreamsStall")
def callers_read_nothing(stage):
    server = stage.server(stage.simulator(processing_ms=600_000), ["--stream-stall", "1s"])
    match = stage.create(server)
    request = stage.stubs.pb.WatchMatchRequest(match_id=match.match_id)
    method, message = "facematch.v1.FaceMatch/WatchMatch", request.SerializeToString()
    stage.closing(UnreadStreams(server.address, method, message, 12))
    return {}, None


@scene("FaceMatchVersionsDiffer")
def another_version_runs(stage):
    stage.server()
    stage.watch(stage.ending(OtherVersion()).address)
    return {}, None


@scene("FaceMatchInvariantViolated")
def the_store_is_damaged(stage):
    server = stage.server()
    match = stage.create(server)
    stage.wait(server, match)
    server.stop()
    with sqlite3.connect(server.folder / "facematch.db") as journal:
        gone = journal.execute("DELETE FROM events WHERE sequence = 2").rowcount
    assert gone == 1
    again = stage.server(server.simulator, folder=server.folder)
    request = stage.stubs.pb.WatchMatchRequest(match_id=match.match_id)
    with pytest.raises(grpc.RpcError):
        list(stage.stub(again).WatchMatch(request, timeout=CALL_SECONDS))
    return {"instance": again.admin, "invariant": "event_order"}, None


class OtherVersion:
    """A target that says that it is a replica of another version."""

    def __init__(self):
        text = b'facematch_build_info{version="0.0.0",store="sqlite"} 1\n'

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def prometheus():
    prometheus = Prometheus()
    yield prometheus
    prometheus.stop()


@pytest.fixture
def stage(prometheus, stubs, portrait, tmp_path):
    stage = Stage(prometheus, stubs, portrait, tmp_path)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def fired(request, prometheus, stubs, portrait, tmp_path_factory):
    """Plays the scenes of the tests that run, several at a time, since most of the time is waiting.

    Returns the alert that each provokes, or will provoke.
    """

    def play(alert):
        stage = Stage(prometheus, stubs, portrait, tmp_path_factory.mktemp(alert))
        try:
            labels, again = SCENES[alert](stage)
            return prometheus.wait_for(alert, again or (lambda: None), **labels)
        finally:
            stage.close()

    wanted = [item.callspec.params["alert"] for item in request.session.items if _plays(item)]
    with ThreadPoolExecutor(SCENES_AT_ONCE) as scenes:
        yield {alert: scenes.submit(play, alert) for alert in wanted}


def _plays(item):
    return "alert" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.mark.parametrize("alert", SCENES)
def test_an_alert_fires_when_its_fault_occurs(fired, alert):
    assert fired[alert].result(SCENES_SECONDS)["annotations"]["summary"]


def test_every_alert_has_a_scene_and_a_runbook():
    assert set(alerts()) == set(SCENES)
    text = OPERATING.read_text()
    for alert, block in alerts().items():
        assert f"runbook: docs/operating.md#{alert.lower()}\n" in block
        assert f"\n### {alert}\n" in text, f"{OPERATING} has no section on {alert}"


def test_the_rules_pass_their_own_tests():
    folder = RULES.parent
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run(
            [os.environ["FACEMATCH_PROMTOOL"], *command], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", (folder / "rules_test.yaml").read_text()))
    assert tested == set(alerts()), "each alert has a test of its own"


def test_the_page_s_settings_of_prometheus_are_valid_and_have_the_job_of_the_rules(tmp_path):
    settings = tmp_path / "prometheus.yml"
    settings.write_text(PROMETHEUS.replace(PACKAGED, str(RULES.parent)))
    command = [os.environ["FACEMATCH_PROMTOOL"], "check", "config", settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts())} rules found" in done.stdout
    job = re.search(r"job_name: (\w+)", PROMETHEUS).group(1)
    assert f'up{{job="{job}"}}' in RULES.read_text()


def test_prometheus_understands_every_panel(stage, prometheus):
    server = stage.server()
    stage.wait(server, stage.create(server))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(targets) > 30
    for expression in targets:
        prometheus.query(
            expression.replace("$job", "facematch").replace("$__rate_interval", "1m")
        )
