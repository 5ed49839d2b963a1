"""A client that was used before a fork: the child makes a connection of its own, and the parent's
goes on."""

import os
import sys

import facematch

target, folder, photo = sys.argv[1:]
client = facematch.Client(target)
assert client.match(folder, photo).same_person
child = os.fork()
if child == 0:
    good = client.match(folder, photo).same_person
    os._exit(0 if good else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert client.match(folder, photo).same_person
