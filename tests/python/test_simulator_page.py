"""The commands of docs/simulator.md, run as printed."""

import json
import re

import documents
import pytest
from documents import UUID, plain
from support import free_port

PAGE = "docs/simulator.md"

START = documents.block(PAGE, "$ facematch sim")
SERVE = documents.block(PAGE, "facematch serve")
MATCH = documents.block(PAGE, "curl -s -o portrait.jpg")
FOLDERS = documents.block(PAGE, "OZ=")
AS_AN_SDK = documents.block(PAGE, "TOKEN=")
SCRIPT = documents.block(PAGE, "version = 1")
GATEWAY = documents.block(PAGE, "# Half a minute of an ingress")
CONTROL = documents.block(PAGE, "curl -s $OZ/sim/health")
TLS = documents.block(PAGE, "openssl req")

READY = r"the Oz simulator is ready on"


@pytest.fixture
def addresses():
    """Free addresses for the simulator, which the page starts at its default, and for the service."""
    simulator, service = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = {"FACEMATCH_LISTEN": service, "FACEMATCH_SERVER": f"http://{service}"}
    at = {"facematch sim": f"facematch sim --listen {simulator}", "127.0.0.1:8900": simulator}
    return environment, at


def test_the_first_match_runs_as_the_page_shows_it(terminal, addresses):
    environment, at = addresses
    ((start, shown),) = documents.session(START)
    first, second = terminal(environment, at), terminal(environment, at)
    first.type(start)
    (sample,) = first.wait_for(rf"the sample folder is ({UUID}), made from .*\n")
    address = at["127.0.0.1:8900"]
    assert plain(shown).replace("127.0.0.1:8900", address) in plain(first.said())
    second.type(SERVE)
    second.wait_for("facematch is ready")

    printed = re.search(UUID, MATCH).group()
    third = terminal(environment, at | {printed: sample.group(1)})
    assert "FINISHED    SUCCESS, similarity 1" in third.run(MATCH)


def test_the_control_api_takes_the_page_s_requests(terminal, addresses):
    environment, at = addresses
    simulator, reader = terminal(environment, at), terminal(environment, at)
    simulator.type("facematch sim")
    simulator.wait_for(READY)
    reader.run("curl -s -o portrait.jpg http://127.0.0.1:8900/sim/samples/portrait.jpg")
    said = reader.run(FOLDERS)
    assert said.count('"folder_id"') == 3, said
    said = reader.run(AS_AN_SDK)
    assert '"analyse_id"' in said, said
    reader.run(GATEWAY)
    said = reader.run(CONTROL)
    assert '"media"' in said and "slow polls" in said, said


def test_the_script_of_the_page_is_loaded(terminal, addresses, tmp_path):
    environment, at = addresses
    (tmp_path / "oz.toml").write_text(SCRIPT)
    simulator, reader = terminal(environment, at), terminal(environment, at)
    simulator.type(f"facematch sim --script {tmp_path}/oz.toml")
    simulator.wait_for(READY)
    script = json.loads(reader.run("curl -s http://127.0.0.1:8900/sim/script"))
    assert len(script["rules"]) == SCRIPT.count("[[rules]]") > 0


def test_a_match_runs_over_tls_as_the_page_sets_it_up(terminal, addresses):
    environment, at = addresses
    services, caller = terminal(environment, at), terminal(environment, at)
    services.type(TLS)
    services.wait_for(READY)
    services.wait_for("facematch is ready")
    (sample,) = services.wait_for(rf"the sample folder is ({UUID})")
    photo = "src/simulator/sample/portrait.jpg"
    said = caller.run(f"facematch match --folder {sample.group(1)} --photo {photo}")
    assert "FINISHED    SUCCESS" in said
