"""Runs the suite: clients/conformance/run."""

import argparse
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from . import files as marks
from . import scenario
from .compare import Mismatch
from .contract import ROOT
from .driver import PATIENCE, Broken, Driver, Hung
from .play import Player
from .servers import Testserver

CLIENTS = ROOT / "clients"

# How much of a log a failure shows, in characters: stacks are long.
_LOG_SHOWN = 12_000
# Scenarios that aren't offered must fail, and soon: so many seconds after the last line.
_NOT_OFFERED_SECONDS = min(PATIENCE, 5)


def main():
    arguments = _arguments()
    drivers = _drivers(arguments.languages)
    if arguments.driver is not None:
        drivers = [it for it in drivers if it[0] == arguments.driver]
    scenarios = scenario.load(arguments.only)
    failed = passed = not_offered = 0
    with tempfile.TemporaryDirectory(prefix="facematch-conformance-") as folder:
        files = marks.Files(folder)
        with contextlib.closing(Testserver()) as shared:
            for name, path in drivers:
                suite = Suite(name, path, scenarios, files, shared, arguments)
                suite.run()
                passed += suite.passed
                failed += len(suite.failures)
                not_offered += suite.not_offered
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed + not_offered else 0


def _arguments():
    parser = argparse.ArgumentParser(prog="clients/conformance/run")
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE")
    parser.add_argument("--only", metavar="WORD", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("CONFORMANCE_JOBS", "6")))
    parser.add_argument("--driver", metavar="NAME", help="this one alone, such as python-asyncio")
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("--durations", action="store_true", help="print how long each took")
    return parser.parse_args()


def _drivers(languages):
    """The drivers of these languages, or of all: their names and programs."""
    found = []
    for path in sorted(CLIENTS.glob("*/conformance/driver*")):
        kind = path.name.removeprefix("driver").lstrip("-")
        if path.suffix or not os.access(path, os.X_OK) or not path.is_file():
            continue
        language = path.parts[-3]
        name = f"{language}-{kind}" if kind else language
        if not languages or language in languages or name in languages:
            found.append((name, path))
    known = {part for name, _ in found for part in (name, name.partition("-")[0])}
    missing = [it for it in languages if it not in known]
    if missing or not found:
        raise SystemExit(f"there is no driver of {' '.join(missing) or 'any language'}")
    return found


class Suite:
    """All scenarios with one driver."""

    def __init__(self, name, path, scenarios, files, shared, arguments):
        self._name = name
        self._path = path
        self._files = files
        self._shared = shared
        self._arguments = arguments
        self._scenarios = scenarios
        self._not_offered = _not_offered(path.parent)
        self._waiting = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._durations = []
        self.passed = self.not_offered = 0
        self.failures = []

    def run(self):
        started = time.monotonic()
        if not self._build():
            return
        for name in sorted(self._not_offered - scenario.names()):
            self._fail(name, "not-offered lists it, and there is no such scenario")
        # Long ones first, so that they don't end last.
        for name in sorted(self._scenarios, key=_is_short):
            self._waiting.put(name)
        jobs = min(self._arguments.jobs, len(self._scenarios))
        threads = [threading.Thread(target=self._work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - started
        counts = f"{self.passed} passed, {len(self.failures)} failed"
        if self._not_offered:
            counts += f", {self.not_offered} not offered"
        print(f"{self._name}: {counts}, {took:.0f} s", flush=True)
        if self._arguments.durations:
            for seconds, name in sorted(self._durations, reverse=True)[:20]:
                print(f"  {seconds:5.1f} s  {name}")

    def _build(self):
        build = self._path.parent / "build"
        if not build.exists():
            return True
        built = subprocess.run([build], cwd=ROOT, capture_output=True, text=True)
        if built.returncode != 0:
            self._fail("build", f"{built.stdout}{built.stderr}")
        return built.returncode == 0

    def _work(self):
        driver = None
        while not (self._arguments.stop and self.failures):
            try:
                name = self._waiting.get_nowait()
            except queue.Empty:
                break
            try:
                if driver is None:
                    driver = Driver(self._path)
                driver = self._play(name, driver)
            except Broken as error:
                self._fail(name, str(error), driver)
                driver = None
        if driver is not None:
            code = driver.close()
            if code != 0:
                self._fail("the end of standard input", f"the driver ended with {code}", driver)

    def _play(self, name, driver):
        """Plays one scenario. Returns the driver, if it can play another."""
        played = self._scenarios[name]
        started = time.monotonic()
        player = Player(played, driver, self._shared, self._files)
        try:
            is_offered = name not in self._not_offered
            if is_offered:
                player.play()
            else:
                _check_missed(player)
            player.check_secrets()
        except Exception as error:
            problem = str(error) if isinstance(error, Mismatch | Broken) else traceback.format_exc()
            if isinstance(error, Hung):
                driver.ask_for_stacks()
                problem += f"\nthe server's log:\n{player.server_log()[-_LOG_SHOWN:]}"
            self._fail(name, f"{played['about']}\n{problem}", driver)
            driver.close()
            return None
        with self._lock:
            self._durations.append((time.monotonic() - started, name))
            if is_offered:
                self.passed += 1
            else:
                self.not_offered += 1
        if is_offered:
            return driver
        # The scenario's calls may still be open.
        driver.close()
        return None

    def _fail(self, name, problem, driver=None):
        with self._lock:
            self.failures.append(name)
            print(f"FAILED {self._name} {name}\n{_indented(problem)}")
            if driver is not None:
                for line in driver.lines[-12:]:
                    print(f"    {json.dumps({k: v for k, v in line.items() if k != 'text'})}")
                errors = driver.errors()
                if errors:
                    print(_indented(errors[-_LOG_SHOWN:]))
            sys.stdout.flush()


def _not_offered(folder):
    """The names of the scenarios that a driver in this folder doesn't offer."""
    path = folder / "not-offered"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {line for line in map(str.strip, lines) if line and not line.startswith("#")}


def _check_missed(player):
    """Plays a scenario that isn't offered, which must fail in an orderly way."""
    try:
        player.play(_NOT_OFFERED_SECONDS)
    except (Mismatch, Hung):
        return
    raise Mismatch("it passes, although not-offered lists it")


def _is_short(name):
    return not any(word in name for word in ("blackhole", "silence", "restart", "stall", "tls"))


def _indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
