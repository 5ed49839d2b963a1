"""What the end of a call tells of its connection, of both clients."""

import asyncio
import socket
import threading
import time

import grpc
import pytest

import facematch
from facematch import AsyncClient, Client, Limits
from facematch._connections import Connection
from facematch._failure import Failure

# How long a test waits for a connection, in seconds.
_PATIENCE = 30
# Any time without an answer is long.
_AT_ONCE = Limits(silence_least=1e-6)

_TIMEOUT = Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "")
_GONE = Failure(grpc.StatusCode.UNAVAILABLE, "")


class BlackHole:
    """Accepts connections, and says nothing."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._changed = threading.Condition()
        self._accepted = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._accepted.append(connection)
                self._changed.notify_all()

    @property
    def accepted(self):
        return len(self._accepted)

    def wait(self, count):
        """Waits until so many connections were accepted."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.accepted >= count, _PATIENCE)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._accepted:
            connection.close()


@pytest.fixture
def hole():
    hole = BlackHole()
    yield hole
    hole.close()


def unanswered(seconds):
    connection = Connection(None, None, patience=10)
    connection.begin_call()
    connection._unanswered_since = time.monotonic() - seconds
    return connection


def test_one_short_deadline_says_little():
    assert not unanswered(1).seems_dead(_TIMEOUT)
    assert unanswered(11).seems_dead(_TIMEOUT)
    assert not unanswered(1).was_silent()
    assert unanswered(11).was_silent()


def test_silence_and_a_limit_of_the_library_say_enough():
    assert unanswered(1).seems_dead(_TIMEOUT, is_own_limit=True)
    assert unanswered(1).seems_dead(Failure.broken("", is_silence=True))


def test_any_word_is_a_sign_of_life():
    connection = unanswered(11)
    assert not connection.seems_dead(_GONE)
    assert not connection.seems_dead(_TIMEOUT)
    connection = unanswered(11)
    connection.heard()
    connection.begin_call()
    assert not connection.was_silent()


def test_cancelled_streams_leave_a_connection_that_says_nothing(hole):
    with Client(hole.address, limits=_AT_ONCE) as client:
        for number in (1, 2):
            stream = client.watch(match_id="m")

            def cancel(stream=stream, number=number):
                try:
                    hole.wait(number)
                finally:
                    stream.cancel()

            canceller = threading.Thread(target=cancel)
            canceller.start()
            with pytest.raises(facematch.CallCancelledError):
                next(stream)
            canceller.join()
    assert hole.accepted == 2


@pytest.mark.parametrize("verb", ["get", "watch"])
def test_cancelled_tasks_leave_a_connection_that_says_nothing(hole, verb):
    async def ask(client):
        if verb == "get":
            return await client.get(match_id="m")
        return await anext(client.watch(match_id="m"))

    async def calls():
        async with AsyncClient(hole.address, limits=_AT_ONCE) as client:
            for number in (1, 2):
                task = asyncio.create_task(ask(client))
                await asyncio.to_thread(hole.wait, number)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(calls())
    assert hole.accepted == 2


def test_short_deadlines_keep_the_connection(hole):
    with Client(hole.address) as client:
        for _ in range(3):
            with pytest.raises(facematch.DeadlineError):
                client.get(match_id="m", timeout=0.1)
            with pytest.raises(facematch.DeadlineError):
                next(client.watch(match_id="m", timeout=0.1))
    assert hole.accepted == 1
