"""pytest's plugin where there is no server."""

import pytest

pytest_plugins = ["pytester"]

TEST = "def test_it(facematch): assert facematch.client"


@pytest.fixture
def outcome(pytester, monkeypatch):
    def run(**environment):
        monkeypatch.delenv("FACEMATCH_BIN", raising=False)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setenv("PATH", "/nonexistent")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        pytester.makepyfile(TEST)
        return pytester.runpytest_subprocess("-rs")

    return run


def test_tests_are_skipped_with_a_sentence(outcome):
    result = outcome()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the server's program is missing: set FACEMATCH_BIN*"])


def test_tests_fail_in_ci(outcome):
    outcome(CI="true").assert_outcomes(errors=1)


def test_a_program_that_does_not_start_is_an_error(outcome):
    outcome(FACEMATCH_BIN="/nonexistent/facematch").assert_outcomes(errors=1)
