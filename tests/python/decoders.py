"""The common decoders: tells which of them accepts a picture.

libjpeg-turbo and libpng are used through Pillow and OpenCV, whose wheels contain them; Pillow reads
PNG with its own parser. Each decoder is a separate process, which runs this file as a program:
broken pictures crash decoders, and their output is noise here.
"""

import io
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path


def pillow():
    from PIL import Image

    warnings.simplefilter("ignore")

    def takes(photo):
        try:
            with Image.open(io.BytesIO(photo)) as image:
                image.load()
                return image.format in ("JPEG", "MPO", "PNG")
        except Exception:  # Any exception means that the picture is refused.
            return False

    return takes


def opencv():
    # OpenCV reads it at import.
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    import cv2
    import numpy

    def takes(photo):
        try:
            return cv2.imdecode(numpy.frombuffer(photo, numpy.uint8), cv2.IMREAD_COLOR) is not None
        except cv2.error:
            return False

    return takes


PROGRAMS = {"Pillow": pillow, "OpenCV": opencv}
TAKEN, REFUSED = b"+", b"-"


class Decoder:
    """A decoder's process, restarted if a picture crashes it."""

    def __init__(self, name):
        self.name = name
        self.crashes = 0
        self._start()

    def _start(self):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__), self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def takes(self, photo):
        self._process.stdin.write(struct.pack(">I", len(photo)) + photo)
        self._process.stdin.flush()
        answer = self._process.stdout.read(1)
        if answer == b"":
            self.crashes += 1
            self.stop()
            self._start()
        return answer == TAKEN

    def stop(self):
        self._process.kill()
        self._process.communicate()


class Decoders:
    """All decoders."""

    def __init__(self):
        self.all = [Decoder(name) for name in PROGRAMS]

    def takers(self, photo):
        """The names of the decoders that accept these bytes as a picture."""
        return {decoder.name for decoder in self.all if decoder.takes(photo)}

    def stop(self):
        for decoder in self.all:
            decoder.stop()


def main(name):
    takes = PROGRAMS[name]()
    # Decoders may print to standard output, so the answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    while len(length := sys.stdin.buffer.read(4)) == 4:
        photo = sys.stdin.buffer.read(struct.unpack(">I", length)[0])
        answers.write(TAKEN if takes(photo) else REFUSED)


if __name__ == "__main__":
    main(sys.argv[1])
