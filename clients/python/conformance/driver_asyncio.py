"""The conformance driver of the asyncio client: each call runs in a task of its own."""

import asyncio
import json
import sys
import threading

import lines
from facematch import AsyncClient


class Call:
    """One call, from its command to its last line."""

    def __init__(self, client, command):
        self._client = client
        self._command = command
        self._go = asyncio.Semaphore(0)
        self._stream = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    def go(self):
        self._go.release()

    def cancel(self):
        self.task.cancel()

    async def _run(self):
        call = self._command["call"]
        try:
            lines.say("result", call=call, **await self._result())
        except lines.Unsupported as it:
            lines.say("unsupported", call=call, what=str(it))
        except asyncio.CancelledError:
            # Python's own exception can't say what the library knows: the stream does.
            lines.say("error", call=call, kind="cancelled", text="", **self._known())
        except Exception as error:
            lines.say_error(error, call=call)

    def _known(self):
        if self._stream is None or not hasattr(self._stream, "match_id"):
            return {}
        ids = {"match_id": self._stream.match_id, "request_id": self._stream.request_id}
        return {**ids, "match_continues": self._stream.match_continues}

    async def _result(self):
        verb = self._command["verb"]
        arguments = lines.call_arguments(self._command)
        answer = getattr(self._client, verb)(**arguments)
        if verb == "list":
            return await self._read(answer, lines.say_item)
        if verb in ("run", "watch", "watch_all"):
            return await self._follow(verb, answer)
        answer = await answer
        if verb == "match":
            return lines.verdict_parts(answer)
        if verb == "delete":
            return lines.deleted_parts(answer)
        return lines.match_parts(answer)

    async def _follow(self, verb, stream):
        self._stream = stream
        if verb == "run":
            lines.say("request_id", call=self._command["call"], request_id=stream.request_id)
        async with stream:
            result = await self._read(stream, lines.say_update)
            if verb == "watch_all":
                stream.done()
                return {**result, "resume_token": stream.resume_token}
        return {**result, **lines.last_match_parts(stream.match)}

    async def _read(self, iterator, say):
        call, command = self._command["call"], self._command
        pauses, stop = command.get("pause_after") or (), command.get("stop_after")
        count = 0
        while True:
            if count in pauses:
                lines.say("paused", call=call, resume_token=lines.token_of(self._stream))
                await self._go.acquire()
            # A user of the library takes the next update in an async for loop.
            item = await anext(iterator, None)
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

    async def do(self, command):
        name = command["do"]
        if name == "open":
            self._open(command)
        elif name == "call":
            client = self._clients[command["client"]]
            self._calls[command["call"]] = Call(client, command)
        elif name == "go":
            self._calls[command["call"]].go()
        elif name == "cancel":
            self._calls[command["call"]].cancel()
        elif name == "close":
            client = self._clients.pop(command["client"])
            version = client.server_version
            await client.aclose()
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
            client = self._clients[name] = AsyncClient(command["target"], **arguments)
        except lines.Unsupported:
            raise
        except Exception as error:
            lines.say_error(error, client=name)
            return
        lines.say("opened", client=name, text=f"{client!r} {client} {vars(client)}")

    async def close(self):
        for client in self._clients.values():
            await client.aclose()


def read_lines(loop, commands):
    """Hands the lines of standard input over to the loop."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(commands.put_nowait, line)
    loop.call_soon_threadsafe(commands.put_nowait, None)


async def main():
    driver, commands = Driver(), asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=read_lines, args=(loop, commands), daemon=True).start()
    lines.ready()
    while (line := await commands.get()) is not None:
        command = json.loads(line)
        try:
            await driver.do(command)
        except lines.Unsupported as it:
            whose = {key: command[key] for key in ("client", "call") if key in command}
            lines.say("unsupported", **whose, what=str(it))
    await driver.close()


if __name__ == "__main__":
    asyncio.run(main())
