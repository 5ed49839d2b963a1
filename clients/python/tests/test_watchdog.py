"""The thread that cancels silent reads."""

import threading

import pytest

from facematch import _watchdog
from facematch._watchdog import Watch, Watchdog

SECONDS = 20


@pytest.fixture
def dog(monkeypatch):
    dog = Watchdog()
    monkeypatch.setattr(_watchdog, "_shared", dog)
    monkeypatch.setattr(_watchdog, "_IDLE_SECONDS", 0.05)
    return dog


class Read:
    """A read that waits until it is cancelled."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.watch = Watch(self.cancelled.set)

    def wait(self, limit):
        with self.watch.limit(limit):
            return self.cancelled.wait(SECONDS)


@pytest.mark.usefixtures("dog")
def test_a_read_over_its_limit_is_cancelled():
    read = Read()
    assert read.wait(0.01)
    assert read.watch.fired


@pytest.mark.usefixtures("dog")
def test_a_shorter_limit_of_the_same_stream_counts():
    read = Read()
    with read.watch.limit(3600):
        pass
    assert read.wait(0.01)


@pytest.mark.usefixtures("dog")
def test_reads_within_their_limits_are_left_alone():
    quick, slow = Read(), Read()
    with quick.watch.limit(0.01):
        pass
    assert slow.wait(0.05)
    assert not quick.watch.fired


@pytest.mark.usefixtures("dog")
def test_many_reads_are_watched_by_one_thread():
    reads = [Read() for _ in range(50)]
    threads = [threading.Thread(target=read.wait, args=(0.02,)) for read in reads]
    before = set(threading.enumerate())
    for thread in threads:
        thread.start()
    new = [it.name for it in set(threading.enumerate()) - before]
    assert new.count("facematch-watchdog") <= 1
    for thread in threads:
        thread.join(SECONDS)
    assert all(read.watch.fired for read in reads)


def test_the_thread_ends_without_work_and_begins_again(dog):
    assert Read().wait(0.01)
    ended = threading.Event()
    while dog._is_running:
        ended.wait(0.01)
    assert Read().wait(0.01)
