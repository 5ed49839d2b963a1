"""The version of this library, which is that of the server it was released with."""

from __future__ import annotations

VERSION = "0.1.0"


def is_older(version: str, than: str) -> bool:
    """Whether a version is older than another one. False if one of them isn't made of numbers."""
    try:
        return _numbers(version) < _numbers(than)
    except ValueError:
        return False


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".")]
