"""The commands that build and test, checked as far as possible without a build.

Cargo plans each of them, and words that only the started program would read are looked up in its
source.
"""

import re
import shlex

import documents
import pytest
from documents import all_blocks, commands, plain
from support import ROOT

DEMO = documents.block("README.md", "cargo demo")
DEMO_SHOWN = next(block.text for block in all_blocks() if block.text.startswith("The sample's own"))
BUILD = documents.block("CONTRIBUTING.md", "cargo build\n")
INNER_LOOP = documents.block("CONTRIBUTING.md", "cargo test --lib watch")

# Blocks of cargo commands only.
PLANNED = [
    documents.block("CONTRIBUTING.md", "FACEMATCH_KILLS="),
    documents.block("CONTRIBUTING.md", "cargo bench   "),
    documents.block("CONTRIBUTING.md", "cargo bench --profile counted"),
    documents.block("docs/performance.md", "cargo bench"),
]

# Flags whose next word is their value.
VALUED = {"--test", "--bench", "--features", "--profile"}


def in_sh_blocks(pattern):
    """The commands of every document's sh blocks that begin with a pattern."""
    found = {
        command
        for block in all_blocks()
        if block.language == "sh"
        for line in commands(block.text)
        for command in line.split(" && ")
        if re.match(pattern, command)
    }
    assert found, pattern
    return sorted(found)


# With the variables before it.
CARGO = in_sh_blocks(r"(\w+=\S+ +)*cargo ")


@pytest.mark.parametrize("block", PLANNED, ids=lambda block: block.splitlines()[0])
def test_a_planned_block_has_cargo_commands_only(block):
    assert set(commands(block)) <= set(CARGO)


@pytest.mark.parametrize("command", CARGO)
def test_cargo_takes_the_command_and_its_words_exist(terminal, command):
    if not command.endswith("cargo demo"):
        terminal().run(command)
    before, _, words = command.partition("cargo ")
    for variable in re.findall(r"(\w+)=", before):
        assert f'"{variable}"' in source("src", "tests", "benches"), variable
    cargo, *words = shlex.split(words)
    own, passed = words, []
    if "--" in words:
        own, passed = words[: words.index("--")], words[words.index("--") + 1 :]
    if cargo == "test":
        names_tests(own)
    if cargo == "bench":
        names_of_the_benchmark(passed)


def names_tests(words):
    """Checks that the filters of `cargo test` are parts of tests' names."""
    filters = [
        word
        for flag, word in zip(["", *words], words)
        if not word.startswith("-") and flag not in VALUED
    ]
    for part in filter(None, "::".join(filters).split("::")):
        assert re.search(rf"\b(mod|fn) \w*{part}", source("src", "tests")), part


def names_of_the_benchmark(words):
    """Checks that the benchmark knows its arguments, and that the files among them exist."""
    for word in words:
        if "/" not in word:
            assert f'"{word}"' in source("benches"), word
        elif not word.startswith("target/"):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("block", [DEMO, BUILD], ids=["README", "CONTRIBUTING"])
def test_the_demo_shows_what_the_readme_shows(terminal, block):
    shell = terminal()
    shell.type(block)
    shell.wait_for("FINISHED", count=2)
    assert plain(DEMO_SHOWN) in plain(shell.said())


def test_the_inner_loop_s_commands_find_their_tests(terminal):
    shell = terminal({"PYTEST_ADDOPTS": "--collect-only"})
    assert re.search(r"\d+/\d+ tests collected", shell.run(INNER_LOOP))


def test_the_scripts_exist_and_know_their_arguments():
    scripts = in_sh_blocks(r"(tests|fuzz|\.ci)/")
    assert len(scripts) > 5, scripts
    for command in scripts:
        script, *words = shlex.split(command)
        assert (ROOT / script).stat().st_mode & 0o111, script
        for word in filter(str.isalpha, words):
            assert re.search(rf"\b{word}\b", (ROOT / script).read_text()), command


def source(*folders):
    """All of the Rust below some folders."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.rs"))]
    return "".join(path.read_text() for path in paths)
