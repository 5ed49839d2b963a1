"""A real PostgreSQL for the tests, in a folder of its own, as `tests/postgres` starts it for Rust's.

Its keeper, a shell that `tests/postgres` has as well, kills the server and removes the folder once
the tests' process ends, in any way.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from support import READY_SECONDS, ROOT, free_port

# The superuser, who may connect without a password.
USER = "facematch"

# PostgreSQL refuses to run as root: the first of these users that exists runs it instead.
INSTEAD_OF_ROOT = ("postgres", "nobody")

PROGRAMS = ("initdb", "postgres", "createdb", "dropdb", "psql")
PORTS_TRIED_MAX = 100
LOOK_SECONDS = 0.02


class Cluster:
    """A PostgreSQL server without databases of its own, and the folder of its programs."""

    def __init__(self):
        self.programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="facematch-postgres-"))
        self._keeper = subprocess.Popen(
            ["sh", "-c", (ROOT / "tests/postgres/keeper.sh").read_text()],
            cwd="/",
            env=os.environ | {"DIRECTORY": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._server, self._as_user = None, {}
        if os.geteuid() == 0:
            user = _instead_of_root()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self._initialise()
            self._start_somewhere()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self._keeper.stdin.close()
        self._keeper.wait()
        if self._server is not None:
            self._server.wait()

    def create(self, database):
        """Creates a database."""
        self._run("createdb", *self._where(), database)

    def sql(self, database, statements):
        """Begins to run statements in a database, and returns the process that does."""
        options = ("-v", "ON_ERROR_STOP=1", "-q", "-c", statements)
        command = self._command("psql", *self._where(), *options, database)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, **self._options())

    def _where(self):
        return ("-h", "127.0.0.1", "-p", self.port, "-U", USER)

    @property
    def _data(self):
        return self.folder / "data"

    @property
    def _log(self):
        return self.folder / "log"

    def _initialise(self):
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--auth", "trust",
                  "--encoding", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1")
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",
            # The keeper finds the server's processes by this name.
            "cluster_name": self.folder.name,
        }
        with open(self._data / "postgresql.conf", "a") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def _run(self, name, *arguments):
        done = subprocess.run(
            self._command(name, *arguments), capture_output=True, text=True, **self._options()
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"

    def _command(self, name, *arguments):
        return [str(self.programs / name), *map(str, arguments)]

    def _options(self):
        return {"cwd": "/", "env": {"LC_ALL": "C"}, "stdin": subprocess.DEVNULL, **self._as_user}

    def _start_somewhere(self):
        """Starts the server on a free port, which another process may take first."""
        for _ in range(PORTS_TRIED_MAX):
            self.port = free_port()
            with open(self._log, "wb") as log:
                self._server = subprocess.Popen(
                    self._command("postgres", "-D", self._data, "-p", self.port),
                    stdout=log, stderr=log, **self._options(),
                )
            if self._is_ready():
                return
            said = self._log.read_text(errors="replace")
            assert "Address already in use" in said, f"PostgreSQL doesn't start: {said}"
        raise AssertionError(f"none of {PORTS_TRIED_MAX} ports is free")

    def _is_ready(self):
        """Waits until the server accepts connections or has ended."""
        ends = time.monotonic() + READY_SECONDS
        while self._server.poll() is None:
            lines = []
            if (file := self._data / "postmaster.pid").exists():
                lines = [line.strip() for line in file.read_text().splitlines()]
            if lines[7:8] == ["ready"]:
                return True
            assert time.monotonic() < ends, self._log.read_text(errors="replace")
            time.sleep(LOOK_SECONDS)
        return False


def _programs():
    """The folder with the programs: on the PATH, or else of Debian's newest version."""
    initdb = shutil.which("initdb")
    places = [Path(initdb).resolve().parent] if initdb else []
    versions = [path for path in Path("/usr/lib/postgresql").glob("*") if _version(path)]
    places += [path / "bin" for path in sorted(versions, key=_version, reverse=True)]
    for place in places:
        if all((place / name).exists() for name in PROGRAMS):
            return place
    raise AssertionError("PostgreSQL's programs are missing: tests/run installs them")


def _version(path):
    return int(path.name) if re.fullmatch(r"\d+", path.name) else 0


def _instead_of_root():
    for name in INSTEAD_OF_ROOT:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError(f"PostgreSQL doesn't run as root, and none of {INSTEAD_OF_ROOT} exists")
