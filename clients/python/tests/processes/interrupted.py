"""A program that waits for a match when Ctrl-C comes."""

import signal
import sys

import facematch

# Ctrl-C is ignored by what a shell has started in the background, and by its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

target, folder, photo = sys.argv[1:]
with facematch.Client(target) as client:
    try:
        for update in client.run(folder, photo):
            print(update.WhichOneof("event"), flush=True)
    except KeyboardInterrupt:
        print("interrupted")
