"""One asyncio client in several loops, one after the other."""

import asyncio
import sys

import facematch

target, folder, photo = sys.argv[1:]
client = facematch.AsyncClient(target)


async def use():
    verdict = await client.match(folder, photo)
    assert [update.sequence async for update in client.watch(verdict.match_id)] == [1, 2, 3, 4]


for _ in range(3):
    asyncio.run(use())
