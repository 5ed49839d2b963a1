"""Cancels reads that wait for too long.

gRPC's synchronous streams can't be read with a time limit, so one thread of the process watches
all of them. It begins with the first read and ends when no read has waited for a while.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable

# The thread ends after this many seconds without a waiting read.
_IDLE_SECONDS = 10.0


class Watch:
    """The reads of one stream, which wait within :meth:`limit`."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        #: Whether a read took longer than its limit, and was cancelled.
        self.fired = False
        self.cancel = cancel
        self.due: float | None = None
        # When the watchdog looks at this watch again; None if it isn't in its queue.
        self.queued: float | None = None

    def limit(self, seconds: float) -> _Limit:
        """A context within which one read may take this long."""
        return _Limit(self, seconds)


class _Limit:
    __slots__ = ("_seconds", "_watch")

    def __init__(self, watch: Watch, seconds: float) -> None:
        self._watch = watch
        self._seconds = seconds

    def __enter__(self) -> None:
        _shared.arm(self._watch, time.monotonic() + self._seconds)

    def __exit__(self, *_: object) -> None:
        _shared.disarm(self._watch)


class Watchdog:
    """Cancels the reads whose time is over."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._queue: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._is_running = False

    def arm(self, watch: Watch, due: float) -> None:
        with self._wake:
            watch.due = due
            # A later time is noticed when the queued one comes.
            if watch.queued is None or due < watch.queued:
                self._push(watch, due)
            if not self._is_running:
                self._is_running = True
                name = "facematch-watchdog"
                threading.Thread(target=self._run, name=name, daemon=True).start()

    def disarm(self, watch: Watch) -> None:
        with self._wake:
            watch.due = None

    def _push(self, watch: Watch, due: float) -> None:
        watch.queued = due
        heapq.heappush(self._queue, (due, next(self._numbers), watch))
        if self._queue[0][2] is watch:
            self._wake.notify()

    def _run(self) -> None:
        while (watch := self._next()) is not None:
            # Outside the lock, since gRPC calls back.
            watch.cancel()

    def _next(self) -> Watch | None:
        """Waits for a read whose time is over; None if the thread should end."""
        with self._wake:
            while True:
                if not self._queue:
                    if not self._wake.wait(_IDLE_SECONDS) and not self._queue:
                        self._is_running = False
                        return None
                    continue
                at, _, watch = self._queue[0]
                wait = at - time.monotonic()
                if wait > 0:
                    self._wake.wait(wait)
                    continue
                heapq.heappop(self._queue)
                if watch.queued != at:
                    continue
                watch.queued = None
                if watch.due is None:
                    continue
                if watch.due > at:
                    self._push(watch, watch.due)
                    continue
                watch.fired = True
                return watch


_shared = Watchdog()


def _after_fork() -> None:
    # The thread is gone in a child, and its lock may be held.
    global _shared
    _shared = Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
