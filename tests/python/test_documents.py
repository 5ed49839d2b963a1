"""Every command and every settings file in the documents is run by a test as it stands there."""

import importlib
from pathlib import Path

import documents

# The blocks that no test runs, by their beginnings, each with the reason.
EXEMPT = {
    ("README.md", "tests/run\n"): "it runs this test",
    ("CONTRIBUTING.md", "tests/run "): "it runs this test",
    ("CONTRIBUTING.md", "fuzz/run "): "builds and fuzzes for hours",
    ("CONTRIBUTING.md", "target/fuzz/"): "needs the build and the findings of fuzz/run",
    ("CONTRIBUTING.md", "tests/mutants "): "builds and tests each mutant, for half an hour",
    ("docs/deploying.md", "apt-get install "): "tests/deb runs it in a Debian that systemd has booted",
    ("docs/deploying.md", "image:"): "tests/chart renders the chart with these values",
    ("docs/proxies.md", "codec_type: AUTO"): "web/browser/connect.test.ts runs it for a page in Chromium",
    ("docs/library.md", "CREATE VIEW facematch_photos"): "these tests start no MySQL",
    ("docs/deploying.md", "kubectl create "): "tests/chart compares it with what the chart mounts",
}


def exempts(block):
    return [
        beginning
        for document, beginning in EXEMPT
        if block.document == document and block.text.startswith(beginning)
    ]


def test_every_block_is_run_or_exempt_with_a_reason():
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(module.stem)
    blocks = [block for block in documents.all_blocks() if block.language in documents.RUN]
    assert len(blocks) > 30, blocks
    assert [str(it) for it in blocks if it not in documents.taken and not exempts(it)] == []
    assert [str(it) for it in blocks if it in documents.taken and exempts(it)] == []
    used = {(it.document, beginning) for it in blocks for beginning in exempts(it)}
    assert used == set(EXEMPT), "an exemption has no block"


def test_every_block_names_a_known_language():
    known = documents.RUN + documents.SHOWN
    assert [str(it) for it in documents.all_blocks() if it.language not in known] == []
