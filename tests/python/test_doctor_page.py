"""The commands of docs/doctor.md, run as printed against a simulator."""

import documents
from support import SAMPLE, free_port

PAGE = "docs/doctor.md"

READING = documents.block(PAGE, "facematch doctor --oz-url")
REHEARSAL = documents.block(PAGE, "facematch doctor --config")

LOGIN = "tester@example.com"


def oz(terminal):
    """The address of a simulator that has just started."""
    address = f"127.0.0.1:{free_port()}"
    simulator = terminal({}, {})
    simulator.type(f"facematch sim --listen {address}")
    simulator.wait_for(f"the Oz simulator is ready on http://{address}")
    return f"http://{address}"


def assert_healthy(said):
    lines = [line for line in said.splitlines() if not line.startswith("facematch: ")]
    assert len(lines) > 10, said
    assert all(line.startswith(("holds ", "not tried ")) for line in lines), said


def test_an_installation_is_read_as_the_page_says(terminal, tmp_path):
    (tmp_path / "oz-password").write_text("simulated\n")
    replaced = {
        "https://oz.example": oz(terminal),
        "matcher@example.com": LOGIN,
        "/run/secrets/oz-password": str(tmp_path / "oz-password"),
    }
    assert_healthy(terminal({}, replaced).run(READING))


def test_a_rehearsal_runs_as_the_page_says(terminal, tmp_path):
    settings = f'oz-url = "{oz(terminal)}"\noz-login = "{LOGIN}"\noz-password = "simulated"\n'
    (tmp_path / "facematch.toml").write_text(settings + 'listen = "0.0.0.0:1"\n')
    (tmp_path / "selfie.mp4").write_bytes(b"a video that the simulator takes for a match")
    replaced = {
        "facematch.toml": str(tmp_path / "facematch.toml"),
        "selfie.mp4": str(tmp_path / "selfie.mp4"),
        "selfie.jpg": str(SAMPLE / "portrait.jpg"),
    }
    said = terminal({}, replaced).run(REHEARSAL)
    assert_healthy(said)
    assert "leaves it there" in said and "with 3 media and 3 analyses" in said, said
