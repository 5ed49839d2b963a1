"""Tests of code that calls FaceMatch: fakes in memory, and a real server with a simulated Oz.

The pytest plugin, which is loaded by itself, has the fixtures ``facematch_server`` and
``facematch``.
"""

from __future__ import annotations

from facematch.testing.fake import AsyncFakeFaceMatch, FakeFaceMatch, failed, refused, verdict
from facematch.testing.server import Oz, Server, ServerUnavailable, find_binary

__all__ = [
    "AsyncFakeFaceMatch",
    "FakeFaceMatch",
    "Oz",
    "Server",
    "ServerUnavailable",
    "failed",
    "find_binary",
    "refused",
    "verdict",
]
