"""The snippets of the README are files, and run as they stand there."""

import ast
import asyncio
import inspect
import re
import runpy

import pytest

import facematch as library
from places import PACKAGE

pytest_plugins = ["pytester"]

SNIPPETS = {path.stem: path for path in sorted((PACKAGE / "snippets").glob("*.py"))}
README = (PACKAGE / "README.md").read_text()


class Enough(Exception):
    """Ends a loop that has no end."""


@pytest.fixture
def run(facematch, tmp_path, monkeypatch):
    """Runs a snippet with the names that its reader has, and returns its names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "portrait.jpg").write_bytes(facematch.photo)

    def run(name, **more):
        names = {
            "facematch": library,
            "server": facematch.server.target,
            "client": facematch.client,
            "folder_id": facematch.folder_id,
            **more,
        }
        return runpy.run_path(str(SNIPPETS[name]), init_globals=names)

    return run


def test_the_readme_has_the_snippets():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert sorted(blocks) == sorted(path.read_text() for path in SNIPPETS.values())


def test_the_verdict(run, capsys):
    assert run("verdict")["verdict"].same_person
    assert capsys.readouterr().out == "the same person\n"


def test_progress(run, capsys):
    assert run("progress")["verdict"].same_person
    events = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert [it for it in events if it != "progress"] == [
        "accepted", "photo_uploaded", "analysis_started", "finished"
    ]  # fmt: skip


def test_resuming(run):
    saved = []
    names = run("resume", save=saved.append)
    assert names["match"].match_id == names["verdict"].match_id
    assert saved == [names["verdict"].request_id]


def test_all_matches(run, facematch):
    facematch.client.match(facematch.folder_id, facematch.photo)
    handled, tokens = [], []

    def handle(update):
        handled.append(update)
        if len(handled) == 3:
            raise Enough

    with pytest.raises(Enough):
        run("all", load_token=lambda: "earliest", handle=handle, save_token=tokens.append)
    # The third was being handled, so the token is that of the second.
    assert tokens[-1] == handled[1].resume_token


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ({}, ""),
        (None, "no such folder\n"),
        ({"verdict": {"state": "FAILED"}}, "OZ_ANALYSIS_FAILED try again\n"),
    ],
)
def test_errors(run, facematch, capsys, folder, said):
    missing = "7f2c1f2e-1111-4222-8333-944445555666"
    folder_id = missing if folder is None else facematch.oz.folder(**folder)
    run("errors", folder_id=folder_id)
    assert capsys.readouterr().out == said


def test_credentials(run, monkeypatch):
    given = {}
    monkeypatch.setattr(library, "Client", lambda target, **more: given.update(more))
    run("credentials")
    monkeypatch.undo()
    allowed = library.Client.__init__.__annotations__
    assert set(given) <= set(allowed)


def test_asyncio(facematch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "portrait.jpg").write_bytes(facematch.photo)
    # The snippet stands in a coroutine of its reader.
    text = SNIPPETS["concurrent"].read_text()
    code = compile(text, "concurrent.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {
        "facematch": library,
        "server": facematch.server.target,
        "folder_id": facematch.folder_id,
    }

    async def main():
        coroutine = eval(code, names)
        assert inspect.iscoroutine(coroutine)
        await coroutine

    asyncio.run(main())
    assert names["verdict"].same_person


def test_tests(pytester, facematch_server):
    pytester.makepyfile(SNIPPETS["testing"].read_text())
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
