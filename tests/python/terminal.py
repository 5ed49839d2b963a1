"""A shell into which a test types a document's commands, as a reader does."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from support import CALL_SECONDS, READY_SECONDS, ROOT

# How often the output is searched again.
LOOK_SECONDS = 0.02

# Job control as in a terminal, and a note of each command that fails.
PRELUDE = """set -mE -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&{notes}' ERR
"""

# In place of cargo: cargo itself checks the command and plans the build, up to the first crate that
# it would compile. `cargo demo` then runs the program that is built already.
CARGO = """#!/bin/sh
rm -f "$REACHED"
said=$(cd "$CHECKOUT" && CARGO_NET_OFFLINE=true RUSTC_WRAPPER="$STOP" CARGO_TARGET_DIR="$PLANS" \\
    "$CARGO" "$@" 2>&1)
[ -e "$REACHED" ] || { printf '%s\\n' "$said" >&2; exit 101; }
[ "$1" != demo ] || exec "$DEMO" "$@"
"""

# In place of rustc: answers cargo's questions about the compiler, and compiles nothing.
STOP = """#!/bin/sh
case " $* " in *" --emit"*) : >"$REACHED"; exit 1 ;; esac
exec "$@"
"""


class Checkout:
    """A folder like a checkout of the repository in which everything has been built."""

    def __init__(self, folder):
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in ("target", ".git"):
                (self.folder / entry.name).symlink_to(entry)
        built = {
            "target/debug/facematch": os.environ["FACEMATCH_BIN"],
            "target/release/facematch": os.environ["FACEMATCH_BIN"],
            "target/test-tools/bin/go-caller": os.environ["FACEMATCH_GO_CALLER"],
            "target/test-tools/prometheus/usr/bin/prometheus": os.environ["FACEMATCH_PROMETHEUS"],
            "target/test-tools/prometheus/usr/bin/promtool": os.environ["FACEMATCH_PROMTOOL"],
            "target/test-tools/bin/grpcurl": os.environ["GRPCURL"],
            "target/test-tools/nginx/usr/sbin/nginx": os.environ["FACEMATCH_NGINX"],
            "target/test-tools/venv": sys.prefix,
        }
        for name, program in built.items():
            link = self.folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(program)
        self._bin = folder / "bin"
        self._bin.mkdir()
        (self._bin / "facematch").symlink_to(os.environ["FACEMATCH_BIN"])
        for name, script in (("cargo", CARGO), ("stop", STOP)):
            (self._bin / name).write_text(script)
            (self._bin / name).chmod(0o755)
        # A refusal is a failure of the command, although the documents' commands don't ask for that.
        (folder / ".curlrc").write_text("fail-with-body\nshow-error\n")
        cargo = shutil.which("cargo")
        assert cargo, "cargo is missing"
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("FACEMATCH_")
        }
        self.environment = inherited | {
            "CARGO": cargo,
            "CHECKOUT": str(ROOT),
            "CURL_HOME": str(folder),
            "DEMO": os.environ["FACEMATCH_BIN"],
            "PATH": os.pathsep.join(
                [str(self._bin), str(Path(os.environ["GRPCURL"]).parent), os.environ["PATH"]]
            ),
            "PLANS": str(folder / "plans"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "REACHED": str(folder / "reached"),
            "STOP": str(self._bin / "stop"),
            # The addresses are the machine's own.
            "no_proxy": "127.0.0.1",
            "no_grpc_proxy": "127.0.0.1",
        }


class Terminal:
    """A shell in a checkout. `replaced` maps texts of the documents to those of the test."""

    def __init__(self, checkout, folder, name, environment, replaced):
        self._folder, self._name, self._replaced = folder, name, replaced
        self._typed = 0
        self.log = folder / f"{name}.log"
        self._notes, notes = os.pipe()
        with open(self.log, "wb") as log:
            self._shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=checkout.folder,
                env=checkout.environment | environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[notes],
                start_new_session=True,
            )
        self._note_to = notes
        os.close(notes)
        self._write(PRELUDE.format(notes=notes))

    def type(self, text):
        """Types commands, and doesn't wait for their end."""
        for printed, real in self._replaced.items():
            text = text.replace(printed, real)
        self._typed += 1
        script = self._folder / f"{self._name}-{self._typed}.sh"
        script.write_text(text)
        self._write(f"source {script} </dev/null; echo done >&{self._note_to}\n")

    def end(self, seconds=CALL_SECONDS):
        """Waits for the end of what was typed last, and returns the commands that failed."""
        ends, notes = time.monotonic() + seconds, ""
        while not notes.endswith("done\n"):
            left = ends - time.monotonic()
            ready, _, _ = select.select([self._notes], [], [], max(0, left))
            piece = os.read(self._notes, 65536).decode() if ready else ""
            assert piece, f"it doesn't end: {self.said()}"
            notes += piece
        return [line for line in notes.splitlines() if line != "done"]

    def run(self, text, fails=False):
        """Types commands, waits for their end, and returns their output."""
        before = len(self.said())
        self.type(text)
        failed = self.end()
        said = self.said()[before:]
        assert fails or not failed, f"{failed}: {said}"
        return said

    def said(self):
        """All output so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern, count=1):
        """Waits until the output matches so many times, and returns the matches."""
        ends = time.monotonic() + READY_SECONDS
        while len(found := list(re.finditer(pattern, self.said()))) < count:
            assert time.monotonic() < ends, f"not {count} times {pattern!r}: {self.said()}"
            time.sleep(LOOK_SECONDS)
        return found

    def close(self):
        """Kills the shell and everything that was started in it."""
        session = self._shell.pid
        while processes := [pid for pid in _processes() if _session(pid) == session]:
            for pid in processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._shell.poll()
            time.sleep(LOOK_SECONDS)
        self._shell.wait()
        self._shell.stdin.close()
        os.close(self._notes)

    def _write(self, text):
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()


def _processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session(process):
    """The session of a process that has not ended, or None."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the name, which may contain anything: state, parent, group, session.
    state, _, _, session = status.rpartition(") ")[2].split()[:4]
    return None if state == "Z" else int(session)
