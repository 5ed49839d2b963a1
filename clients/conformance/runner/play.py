"""Plays one scenario with one driver."""

import json
import re
import tempfile
import threading
import time
from pathlib import Path

import grpc
from facematch.testing.script import FOLDER_ID, holds

from . import files as marks
from .compare import Mismatch, check, check_updates
from .contract import SERVICE, answer_class, request_class
from .driver import PATIENCE
from .proxy import Proxy
from .scripted import Scripted
from .servers import Restarting, testserver_for

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_STARTS = ("match", "run", "create")
_PRINTS = ("run", "watch", "watch_all")
_LOOK_SECONDS = 0.05


class Player:
    """The state of one scenario while it is played."""

    def __init__(self, scenario, driver, shared, files):
        self._scenario = scenario
        self._driver = driver
        self._files = files
        self._closing = []
        self._verbs = {}
        self._starts = {}
        self._printed = threading.Condition()
        self._folder = tempfile.TemporaryDirectory(prefix="facematch-conformance-")
        self._token_file = Path(self._folder.name, "token")
        self._variables = {**files.variables(), "token_file": str(self._token_file)}
        self._server, self._scripted, self._proxy = None, None, None
        self._shared = shared

    def play(self, patience=PATIENCE):
        """Plays it, and waits so many seconds for each line of the driver."""
        self._driver.begin(patience)
        try:
            self._set_up()
            if self._scenario.get("open", True):
                self._open(self._scenario.get("options", {}), "c", {"event": "opened"})
            for step in self._scenario["steps"]:
                self._step(step)
            self._check_end()
        finally:
            self._tear_down()

    # What the scenario needs.

    def _set_up(self):
        kind = self._filled(self._scenario.get("server", "real"))
        if kind == "scripted":
            self._scripted = Scripted(self._filled(self._scenario["script"]))
            self._closing.append(self._scripted.close)
            target = ("127.0.0.1", self._scripted.port)
        else:
            self._server = self._real_server(kind)
            host, _, port = self._server.address.rpartition(":")
            target = (host, int(port))
            self._make_folder()
        if isinstance(kind, dict) and kind.get("tls"):
            self._address = f"127.0.0.1:{target[1]}"
            return
        self._proxy = Proxy(
            target, self._scenario.get("faults", ()), marks.PHOTO_MARK, self._wait_printed
        )
        self._closing.append(self._proxy.close)
        self._address = self._proxy.address

    def _real_server(self, kind):
        if kind == "real":
            return self._shared
        if kind.get("restarts"):
            server = Restarting(kind.get("settings", {}))
        else:
            server = testserver_for(kind, self._files)
        self._closing.append(server.close)
        if server.token:
            self._variables["token"] = server.token
        return server

    def _make_folder(self):
        simulator = self._server.simulator
        folder = simulator.folder(self._scenario.get("folder", {}))
        self._variables["folder"] = folder
        simulator.add_rules(folder, self._scenario.get("oz", ()))

    def _tear_down(self):
        for close in reversed(self._closing):
            close()
        self._folder.cleanup()

    # Steps.

    def _step(self, step):
        step = self._filled(step)
        for key, act in self._ACTS.items():
            if key in step:
                act(self, step)
                return
        raise ValueError(f"unknown step {step}")

    def _call(self, step):
        name = step.get("as", "1")
        self._start({**step, "start": step["call"], "as": name})
        self._end({"end": name, "expect": step.get("expect", {})})

    def _start(self, step):
        name, copies = step.get("as", "1"), step.get("copies")
        names = [name] if copies is None else [f"{name}-{number}" for number in range(copies)]
        for one in names:
            self._verbs[one] = step["start"]["verb"]
            self._starts[one] = len(self._driver.lines)
            command = {"client": "c", **step["start"]}
            if command["verb"] in _STARTS:
                command["request"] = self._request(command)
            self._driver.send({"do": "call", "call": one, **command})

    def _request(self, command):
        given = command.get("request", {})
        usual = {"photo": {"path": self._files.photo, "as": "bytes"}}
        if "folder" in self._variables:
            usual["folder_id"] = self._variables["folder"]
        else:
            usual["folder_id"] = FOLDER_ID
        return {**usual, **given}

    def _end(self, step):
        copies, name = step.get("copies"), step["end"]
        names = [name] if copies is None else [f"{name}-{number}" for number in range(copies)]
        for one in names:
            self._end_of(one, step.get("expect", {}))

    def _end_of(self, name, expect):
        last = self._driver.wait(lambda line: _ends(line, name), f"the end of call {name}")
        wanted = "error" if "error" in expect else "result"
        if last["event"] != wanted:
            raise Mismatch(f"call {name} ended with {_short(last)}, not with a {wanted}")
        lines = self._driver.of(name)
        check(f"the {wanted} of call {name}", expect.get(wanted, {}), last)
        if "updates" in expect:
            updates = [line for line in lines if line["event"] == "update"]
            check_updates(name, expect["updates"], updates)
        if "items" in expect:
            count = sum(line["event"] == "item" for line in lines)
            check(f"the number of items of call {name}", expect["items"], count)
        if "reconnects" in expect:
            self._check_reconnects(name, expect["reconnects"])

    def _check_reconnects(self, name, expected):
        since = self._driver.lines[self._starts[name] :]
        found = [line for line in since if line["event"] == "reconnect"]
        wanted = expected if isinstance(expected, list) else None
        if wanted is None:
            check(f"the reconnects during call {name}", expected, len(found))
        elif len(wanted) != len(found) or not all(map(holds, wanted, found)):
            shown = [_short(line) for line in found]
            raise Mismatch(f"reconnects during call {name}: expected {wanted}, got {shown}")

    def _until(self, step):
        values = step["until"]

        def is_decisive(line):
            # Once the call has ended, the awaited line can't come any more.
            has_ended = "call" in values and _ends(line, values["call"])
            return has_ended or holds(values, line)

        line = self._driver.wait(is_decisive, f"a line with {values}")
        if not holds(values, line):
            raise Mismatch(f"before a line with {values}, the call ended with {_short(line)}")

    def _command(self, step):
        name = next(it for it in ("go", "cancel") if it in step)
        self._driver.send({"do": name, "call": step[name]})

    def _close(self, step):
        name = step["close"]
        self._driver.send({"do": "close", "client": name})
        closed = self._driver.wait_for({"event": "closed", "client": name})
        check(f"the closed line of {name}", step.get("expect", {}), closed)

    def _open_step(self, step):
        self._open(step["open"], step.get("client", "c"), step.get("expect", {"event": "opened"}))

    def _open(self, options, client, expect):
        options = dict(self._filled(options))
        target = options.pop("target", self._address)
        command = {"do": "open", "client": client, "target": target, "options": options}
        self._driver.send(command)
        answer = self._driver.wait(
            lambda line: line.get("client") == client and line["event"] in ("opened", "error"),
            f"the answer to open {client}",
        )
        check(f"the answer to open {client}", expect, answer)

    def _rpc(self, step):
        method, until = step["rpc"], step.get("until")
        request = request_class(method)(**step["request"])
        deadline = time.monotonic() + PATIENCE
        with grpc.insecure_channel(self._server.address) as channel:
            call = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=request_class(method).SerializeToString,
                response_deserializer=answer_class(method).FromString,
            )
            while True:
                answer = self._answer(call, request, may_be_missing=until is not None)
                if until is None or holds(until, answer):
                    return
                if time.monotonic() > deadline:
                    raise Mismatch(f"{method} says {answer}, never {until}")
                time.sleep(_LOOK_SECONDS)

    @staticmethod
    def _answer(call, request, *, may_be_missing):
        """The answer of a call; nothing if the match isn't there yet."""
        try:
            return _plain(call(request, timeout=PATIENCE))
        except grpc.RpcError as error:
            if may_be_missing and error.code() is grpc.StatusCode.NOT_FOUND:
                return {}
            raise

    def _at_simulator(self, step):
        self._server.simulator.call(*step["simulator"])

    def _signal(self, step):
        self._server.signal(step["signal"])

    def _restart(self, step):
        self._server.restart()

    def _at_proxy(self, step):
        self._proxy.act(step["proxy"])

    def _say(self, step):
        self._scripted.say(step["script"])

    def _exchanges(self, step):
        self._scripted.wait_begun(step["exchanges"], PATIENCE)

    def _pass_time(self, step):
        time.sleep(step["pass_ms"] / 1000)

    def _write_token(self, step):
        self._token_file.write_text(step["token_file"] + "\n")

    _ACTS = {
        "call": _call,
        "start": _start,
        "end": _end,
        "rpc": _rpc,
        "until": _until,
        "go": _command,
        "cancel": _command,
        "close": _close,
        "open": _open_step,
        "simulator": _at_simulator,
        "signal": _signal,
        "restart": _restart,
        "proxy": _at_proxy,
        "script": _say,
        "exchanges": _exchanges,
        "token_file": _write_token,
        "pass_ms": _pass_time,
    }

    # Faults wait until the driver has printed what it has received.

    def _wait_printed(self, sequence):
        if not any(verb in _PRINTS for verb in self._verbs.values()):
            return
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            # The player's thread reads the lines meanwhile.
            for line in list(self._driver.lines):
                if line["event"] == "update" and line.get("sequence", 0) >= sequence:
                    return
            time.sleep(0.005)

    # What must be so in the end.

    def _check_end(self):
        if self._scripted is not None:
            left = self._scripted.unplayed()
            if self._scripted.problems or left:
                said = "; ".join(self._scripted.problems)
                raise Mismatch(f"the script: {said} {f'not played: {left}' if left else ''}")
        if self._proxy is not None and self._proxy.unused_faults:
            raise Mismatch(f"faults that didn't happen: {self._proxy.unused_faults}")
        expect = self._scenario.get("expect", {})
        for key, measure in self._MEASURES.items():
            if key in expect:
                check(key, expect[key], measure(self))

    _MEASURES = {
        "photos_at_oz": lambda it: it._server.simulator.photos(it._variables["folder"]),
        "analyses_at_oz": lambda it: it._server.simulator.analyses(it._variables["folder"]),
        "photos_sent": lambda it: it._proxy.photos_sent,
        "connections": lambda it: it._proxy.connections,
    }

    def check_secrets(self):
        """Searches everything that the driver has printed for what must not be shown."""
        printed = json.dumps(self._driver.lines) + self._driver.errors()
        secrets = [marks.PHOTO_MARK.decode(), marks.NAME_MARK, marks.LABEL_MARK, marks.TOKEN_MARK]
        if "token" in self._variables:
            secrets.append(self._variables["token"].rpartition("_")[2])
        for secret in secrets:
            if secret in printed:
                raise Mismatch(f"the driver has printed {secret!r}")

    def server_log(self):
        """What the server has logged; nothing if it is a scripted one."""
        return "" if self._server is None else self._server.log()

    # Variables.

    def _filled(self, value):
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: self._variable(found[1]), value)
        if isinstance(value, dict):
            return {key: self._filled(it) for key, it in value.items()}
        if isinstance(value, list):
            return [self._filled(it) for it in value]
        return value

    def _variable(self, name):
        if name in self._variables:
            return self._variables[name]
        call, _, key = name.rpartition(".")
        for line in reversed(self._driver.of(call)):
            if line.get(key):
                return str(line[key])
        raise Mismatch(f"no line of call {call} has {key}")


def _plain(message):
    """A message as an object, with the names of its enums' values without their prefix."""
    plain = {}
    for field, value in message.ListFields():
        if field.enum_type is not None and not field.is_repeated:
            words = field.enum_type.values_by_number[value].name
            prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
            plain[field.name] = words.removeprefix(prefix)
        elif field.message_type is None and not field.is_repeated:
            plain[field.name] = value
        elif field.message_type is not None and not field.is_repeated:
            plain[field.name] = _plain(value)
    return plain


def _ends(line, call):
    """Whether a line is the last one of a call."""
    return line.get("call") == call and line["event"] in ("result", "error")


def _short(line):
    return json.dumps({key: it for key, it in line.items() if key != "text"})
