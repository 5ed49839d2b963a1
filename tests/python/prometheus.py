"""A real Prometheus for the tests, with the rules of `deploy` made quick."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from exposition import RULES
from support import CALL_SECONDS, READY_SECONDS, free_port

# How long an alert may take to fire: scrapes and rules come every second.
ALERT_SECONDS = 60
LOOK_SECONDS = 0.2

# What the rules wait for, and over which time they look, in the installation of an operator.
WAITS, WINDOWS = re.compile(r"^(\s+for:) \S+$", re.MULTILINE), re.compile(r"\[\d+[mhd]\]")


def quick_rules():
    """The rules with short waits and windows, and a verdict that is slow after a moment."""
    text = RULES.read_text()
    text, waits = WAITS.subn(r"\1 0s", text)
    text, windows = WINDOWS.subn("[15s]", text)
    text, slow = re.subn(r"> 60$", "> 0.2", text, flags=re.MULTILINE)
    assert waits >= 10 and windows >= 8 and slow == 1, "the rules have another form"
    return text


class Prometheus:
    """A server that scrapes the targets it is told, in a folder of its own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="facematch-prometheus-")
        folder = Path(self._folder.name)
        (folder / "rules.yaml").write_text(quick_rules())
        self._targets, self._known = folder / "targets.json", []
        self._lock = threading.Lock()
        self._targets.write_text("[]")
        (folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": ["rules.yaml"],
                    "scrape_configs": [
                        {
                            "job_name": "facematch",
                            "file_sd_configs": [
                                {"files": ["targets.json"], "refresh_interval": "1s"}
                            ],
                        }
                    ],
                }
            )
        )
        self._address = f"127.0.0.1:{free_port()}"
        self._log = open(folder / "log", "w+b")
        self._process = subprocess.Popen(
            [
                os.environ["FACEMATCH_PROMETHEUS"],
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self._address}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._wait("it is ready", self._is_ready, READY_SECONDS)

    def watch(self, address):
        """Adds a target, and waits until it was scraped twice, so that increases are seen."""
        with self._lock:
            self._known.append(address)
            self._write()
        scraped = f'count_over_time(up{{instance="{address}"}}[1m]) >= 2'
        self._wait(f"{address} is scraped", lambda: self.query(scraped), READY_SECONDS)

    def forget(self, address):
        """Removes a target: its alerts end."""
        with self._lock:
            self._known.remove(address)
            self._write()

    def wait_for(self, alert, again=lambda: None, **labels):
        """Waits until an alert with these labels fires, repeating what provokes it, and returns it."""

        def firing():
            again()
            return [
                found
                for found in self._get("/api/v1/alerts")["alerts"]
                if found["state"] == "firing"
                and found["labels"]["alertname"] == alert
                and labels.items() <= found["labels"].items()
            ]

        return self._wait(f"{alert} fires", firing, ALERT_SECONDS)[0]

    def query(self, expression):
        """The series that an expression yields now."""
        return self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))["result"]

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def _write(self):
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": self._known}]))
        new.rename(self._targets)

    def _is_ready(self):
        try:
            return self._get("/api/v1/query?query=1") is not None
        except OSError:
            return False

    def _get(self, path):
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=CALL_SECONDS) as answer:
            return json.load(answer)["data"]

    def _wait(self, what, look, seconds):
        ends = time.monotonic() + seconds
        while not (found := look()):
            assert self._process.poll() is None, f"Prometheus has ended: {self._said()}"
            assert time.monotonic() < ends, f"not within {seconds} s: {what}"
            time.sleep(LOOK_SECONDS)
        return found

    def _said(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")
