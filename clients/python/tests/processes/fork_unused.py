"""A client that is made before a fork and used in children, as gunicorn's workers do."""

import multiprocessing
import sys

import facematch


def child(client, folder, photo):
    verdict = client.match(folder, photo)
    updates = list(client.watch(verdict.match_id))
    sys.exit(0 if verdict.same_person and len(updates) == 4 else 1)


target, folder, photo = sys.argv[1:]
client = facematch.Client(target)
context = multiprocessing.get_context("fork")
children = [context.Process(target=child, args=(client, folder, photo)) for _ in range(3)]
for process in children:
    process.start()
for process in children:
    process.join()
assert [process.exitcode for process in children] == [0, 0, 0]
assert client.match(folder, photo).same_person
