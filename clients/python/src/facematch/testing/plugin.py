"""pytest's plugin: ``facematch_server``, one server for all tests, and ``facematch``, a client of
it with a folder for each test.

Without the server's program tests are skipped with one sentence; in CI (the variable ``CI`` is set)
they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from facematch._client import Client
    from facematch.testing.server import Oz, Server


class FaceMatchFixture:
    """What a test gets: a client, a folder of its own, the sample photo, and the simulated Oz."""

    def __init__(self, server: Server, client: Client) -> None:
        self.server = server
        self.client = client
        self.oz: Oz = server.oz
        #: A fresh folder: a match with :attr:`photo` in it is SUCCESS.
        self.folder_id: str = server.oz.folder()
        #: The sample person's photo, a JPEG.
        self.photo: bytes = server.oz.portrait()


@pytest.fixture(scope="session")
def facematch_server() -> Iterator[Server]:
    """A real server with a simulated Oz, shared by all tests of the session."""
    from facematch.testing.server import Server, find_binary

    if find_binary() is None:
        problem = "the server's program is missing: set FACEMATCH_BIN, or put it on the PATH"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    with Server() as server:
        yield server


@pytest.fixture
def facematch(facematch_server: Server) -> Iterator[FaceMatchFixture]:
    """A client of the server, and a folder of its own."""
    with facematch_server.client() as client:
        yield FaceMatchFixture(facematch_server, client)
