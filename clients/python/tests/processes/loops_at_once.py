"""One asyncio client in several loops at once, each in a thread."""

import asyncio
import sys
import threading

import facematch

target, folder, photo = sys.argv[1:]
client = facematch.AsyncClient(target)
failures = []


async def use():
    verdict = await client.match(folder, photo)
    assert [update.sequence async for update in client.watch(verdict.match_id)] == [1, 2, 3, 4]


def in_thread():
    try:
        asyncio.run(use())
    except BaseException as error:
        failures.append(error)


threads = [threading.Thread(target=in_thread) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
