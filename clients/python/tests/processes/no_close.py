"""A program that closes nothing: neither its clients nor its streams."""

import asyncio
import sys

import facematch

target, folder, photo = sys.argv[1:]
client = facematch.Client(target)
stream = client.run(folder, photo)
next(stream)
waiting = client.watch_all(resume_token="earliest")
next(waiting)


async def use():
    client = facematch.AsyncClient(target)
    stream = client.run(folder, photo)
    await anext(stream)


asyncio.run(use())
print("done")
