"""Compares what happened with what a scenario expects."""

from facematch.testing.script import holds


class Mismatch(AssertionError):
    """What happened differs from what was expected."""


def check(what, expected, actual):
    if not holds(expected, actual):
        raise Mismatch(f"{what}: expected {expected}, got {actual}")


def check_updates(call, expected, lines):
    """Compares the updates of a call, each a word or an object."""
    wanted = [{"kind": it} if isinstance(it, str) else it for it in expected]
    short = [
        {key: line[key] for key in ("kind", "sequence", "state") if key in line} for line in lines
    ]
    if len(wanted) != len(lines) or not all(map(holds, wanted, lines)):
        raise Mismatch(f"updates of call {call}: expected {expected}, got {short}")
