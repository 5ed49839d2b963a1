"""A caller in Go, over mTLS with an API key: tests/go."""

import json
import os
import subprocess
from pathlib import Path

import grpc_tools
import pytest
from authority import Authority
from grpc_tools import protoc
from secured import CALLERS_READ, Key, Secured
from support import CALL_SECONDS, PROTO, ROOT, SAMPLE


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory):
    """The contract as a descriptor set, as protoc and buf write it."""
    file = tmp_path_factory.mktemp("descriptor") / "face_match.binpb"
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{bundled}", "--include_imports"]
    assert protoc.main([*arguments, f"--descriptor_set_out={file}", PROTO]) == 0
    return file


@pytest.fixture
def secured(simulator, search, tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    secured = Secured(simulator, folder, search)
    yield secured
    secured.stop()


@pytest.fixture
def start(secured, descriptor, folder_id, request_id, tmp_path):
    """Starts the caller with a certificate and the authorities that it trusts."""
    started = []

    def start(certificate=None, ca=None):
        certificate = certificate or secured.certificate
        files = {"ca": ca or secured.servers.pem, "cert": certificate.cert, "key": certificate.key}
        options = [f"-server={secured.target}", f"-descriptor={descriptor}"]
        options += [f"-folder={folder_id}", f"-request-id={request_id}"]
        options += [f"-photo={SAMPLE / 'portrait.jpg'}", f"-token={tmp_path / 'token'}"]
        for name, content in files.items():
            (tmp_path / f"{name}.pem").write_bytes(content)
            options.append(f"-{name}={tmp_path / name}.pem")
        command = [os.environ["FACEMATCH_GO_CALLER"], *options]
        pipe = subprocess.PIPE
        caller = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        started.append(caller)
        return caller

    yield start
    for caller in started:
        caller.kill()
        caller.communicate()


def ended(caller):
    """The exit code, the updates and the errors of a caller."""
    updates, errors = caller.communicate(timeout=CALL_SECONDS)
    return caller.returncode, [json.loads(line) for line in updates.splitlines()], errors


def test_a_match_runs_over_mtls_with_a_key(secured, start, tmp_path):
    (tmp_path / "token").write_text(secured.keys["kyc"].text + "\n")
    code, updates, errors = ended(start())
    assert code == 0, errors
    assert [update["sequence"] for update in updates] == ["1", "2", "3", "4"]
    assert updates[-1]["match"]["result"]["resolution"] == "RESOLUTION_SUCCESS"


def test_a_match_resumes_with_the_new_key_when_the_old_one_is_withdrawn(
    secured, start, simulator, folder_id, tmp_path
):
    old, new = secured.keys["kyc"], Key("kyc")
    (tmp_path / "token").write_text(old.text)
    simulator.slow(folder_id)
    caller = start()
    seen = [json.loads(caller.stdout.readline()) for _ in range(3)]
    assert seen[-1]["match"]["state"] == "MATCH_STATE_PROCESSING"

    (tmp_path / "token").write_text(new.text)
    secured.write_callers([new])
    secured.server.reload(CALLERS_READ)
    assert "CREDENTIAL_EXPIRED" in caller.stderr.readline()
    simulator.hurry()
    code, updates, errors = ended(caller)
    assert code == 0, errors
    assert [update["sequence"] for update in seen + updates] == ["1", "2", "3", "4"]
    assert updates[-1]["match"]["result"]["resolution"] == "RESOLUTION_SUCCESS"


@pytest.mark.parametrize("wrong", ["key", "certificate", "authority"])
def test_a_wrong_credential_runs_no_match(secured, start, tmp_path, wrong):
    other = Authority("clients")
    key = secured.keys["kyc"].text
    (tmp_path / "token").write_text(key[:-4] + "0000" if wrong == "key" else key)
    certificate = other.client("kyc.internal") if wrong == "certificate" else None
    code, updates, errors = ended(start(certificate, other.pem if wrong == "authority" else None))
    assert (code, updates) == (1, [])
    expected = {
        "key": "code = Unauthenticated",
        "certificate": "code = Unavailable",
        "authority": "certificate signed by unknown authority",
    }
    assert expected[wrong] in errors
    assert key not in errors
