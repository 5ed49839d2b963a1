"""A driver's process, and what it prints. clients/conformance/README.md has the protocol."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time

from facematch.testing.script import holds

from .compare import Mismatch
from .contract import ROOT
from .output import written

# A driver that is silent for so long, in seconds, hangs.
PATIENCE = float(os.environ.get("CONFORMANCE_PATIENCE", "150"))
_START_SECONDS = 120
_CLOSE_SECONDS = 20
_STACKS_SECONDS = 5


class Broken(Exception):
    """The driver's process can't be used any more."""


class Hung(Broken):
    """The driver's process has printed nothing of what it should have for too long."""


class Driver:
    """One process of a driver, which plays one scenario after the other."""

    def __init__(self, path):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        self._queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.lines = []
        self._patience = PATIENCE
        ready = self._take(_START_SECONDS)
        if ready.get("event") != "ready" or ready.get("protocol") != 1:
            raise Broken(f"its first line isn't ready, of protocol 1: {ready}")

    def _read(self):
        for line in self._process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def _take(self, seconds):
        try:
            line = self._queue.get(timeout=seconds)
        except queue.Empty:
            raise Hung(f"the driver printed nothing for {seconds:.0f} s") from None
        if line is None:
            raise Broken(f"the driver has ended, with code {self._process.wait()}")
        try:
            event = json.loads(line)
        except ValueError:
            raise Broken(f"a line isn't JSON: {line!r}") from None
        return event

    def begin(self, patience):
        """Forgets the lines of the scenario before. The new one waits so long for each line."""
        self.lines = []
        self._patience = patience

    def send(self, command):
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Broken("the driver doesn't read its commands") from None

    def wait(self, condition, what):
        """The first line so far, or to come, that meets a condition."""
        deadline = time.monotonic() + self._patience
        position = 0
        while True:
            while position < len(self.lines):
                line = self.lines[position]
                position += 1
                if line["event"] == "unsupported":
                    raise Mismatch(f"the driver doesn't support {line.get('what')}")
                if condition(line):
                    return line
            left = deadline - time.monotonic()
            if left <= 0:
                raise Hung(f"{what} didn't come within {self._patience} s")
            self.lines.append(self._next(left, what))

    def _next(self, seconds, what):
        try:
            return self._take(seconds)
        except Broken as error:
            raise type(error)(f"while waiting for {what}: {error}") from None

    def wait_for(self, values):
        return self.wait(lambda line: holds(values, line), f"a line with {values}")

    def of(self, call):
        """All lines of a call so far."""
        return [line for line in self.lines if line.get("call") == call]

    def errors(self):
        """What the process has written to standard error so far."""
        return written(self._log)

    def ask_for_stacks(self):
        """Lets a process that hangs write where its threads are, if it can."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STACKS_SECONDS)

    def close(self):
        """Ends the process, and returns its exit code; None if it had to be killed."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            code = self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
            self._process.kill()
            self._process.wait()
        return code
