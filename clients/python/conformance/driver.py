"""The conformance driver of the sync client: each call runs in a thread of its own."""

import json
import sys
import threading

import lines
from facematch import Client


class Call:
    """One call, from its command to its last line."""

    def __init__(self, client, command):
        self._client = client
        self._command = command
        self._go = threading.Semaphore(0)
        self._stream = None
        self._is_cancelled = False

    def go(self):
        self._go.release()

    def cancel(self):
        self._is_cancelled = True
        self._go.release()
        if self._stream is None:
            raise lines.Unsupported("cancelling a unary call")
        self._stream.cancel()

    def run(self):
        call = self._command["call"]
        try:
            lines.say("result", call=call, **self._result())
        except lines.Unsupported as it:
            lines.say("unsupported", call=call, what=str(it))
        except Exception as error:
            lines.say_error(error, call=call)

    def _result(self):
        verb = self._command["verb"]
        arguments = lines.call_arguments(self._command)
        answer = getattr(self._client, verb)(**arguments)
        if verb == "match":
            return lines.verdict_parts(answer)
        if verb == "delete":
            return lines.deleted_parts(answer)
        if verb == "list":
            return self._read(answer, lines.say_item)
        if verb in ("run", "watch", "watch_all"):
            return self._follow(verb, answer)
        return lines.match_parts(answer)

    def _follow(self, verb, stream):
        self._stream = stream
        if verb == "run":
            lines.say("request_id", call=self._command["call"], request_id=stream.request_id)
        with stream:
            result = self._read(stream, lines.say_update)
            if verb == "watch_all":
                stream.done()
                return {**result, "resume_token": stream.resume_token}
        return {**result, **lines.last_match_parts(stream.match)}

    def _read(self, iterator, say):
        call, command = self._command["call"], self._command
        pauses, stop = command.get("pause_after") or (), command.get("stop_after")
        count = 0
        while True:
            if count in pauses:
                lines.say("paused", call=call, resume_token=lines.token_of(self._stream))
                self._go.acquire()
            # A user of the library takes the next update in a for loop.
            item = next(iterator, None)
            if item is None:
                return {}
            count += 1
            say(call, item)
            if count == stop:
                return {"stopped": True}


class Driver:
    """Clients and calls by their names."""

    def __init__(self):
        self._clients = {}
        self._calls = {}

    def do(self, command):
        name = command["do"]
        if name == "open":
            self._open(command)
        elif name == "call":
            client = self._clients[command["client"]]
            call = self._calls[command["call"]] = Call(client, command)
            threading.Thread(target=call.run, daemon=True).start()
        elif name == "go":
            self._calls[command["call"]].go()
        elif name == "cancel":
            self._calls[command["call"]].cancel()
        elif name == "close":
            client = self._clients.pop(command["client"])
            version = client.server_version
            client.close()
            lines.say("closed", client=command["client"], server_version=version)
        else:
            raise lines.Unsupported(f"command {name}")

    def _open(self, command):
        name = command["client"]
        try:
            arguments = lines.client_arguments(
                lines.with_tls(command.get("options")),
                lambda told: lines.say_reconnect(name, told),
            )
            client = self._clients[name] = Client(command["target"], **arguments)
        except lines.Unsupported:
            raise
        except Exception as error:
            lines.say_error(error, client=name)
            return
        lines.say("opened", client=name, text=f"{client!r} {client} {vars(client)}")

    def close(self):
        for client in self._clients.values():
            client.close()


def main():
    driver = Driver()
    lines.ready()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            driver.do(command)
        except lines.Unsupported as it:
            whose = {key: command[key] for key in ("client", "call") if key in command}
            lines.say("unsupported", **whose, what=str(it))
    driver.close()


if __name__ == "__main__":
    main()
