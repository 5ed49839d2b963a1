"""Valid pictures of all kinds that the decoders take, and the parts of JPEGs and PNGs.

The pictures are noise over a gradient, made at each run: they show no person.
"""

import io
import random
import struct
import zlib
from typing import NamedTuple

from PIL import Image

SIZE = (40, 24)
START, END = b"\xff\xd8", b"\xff\xd9"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SCAN = 0xDA


class Segment(NamedTuple):
    """A marker, its payload if it has one, and the bytes between it and the next marker."""

    marker: int
    payload: bytes | None
    behind: bytes = b""

    def bytes(self):
        head = bytes([0xFF, self.marker])
        if self.payload is None:
            return head + self.behind
        return head + struct.pack(">H", len(self.payload) + 2) + self.payload + self.behind


class Chunk(NamedTuple):
    """A chunk of a PNG; `checksum` is set only if it is to be wrong."""

    name: bytes
    data: bytes
    checksum: int | None = None

    def bytes(self):
        checksum = zlib.crc32(self.name + self.data) if self.checksum is None else self.checksum
        return struct.pack(">I", len(self.data)) + self.name + self.data + struct.pack(">I", checksum)


def segments(jpeg):
    """The segments of a valid JPEG; the last one also holds any trailer."""
    found, at = [], 2
    while True:
        marker = jpeg[at + 1]
        if marker == END[1]:
            return [*found, Segment(marker, None, jpeg[at + 2 :])]
        start = at + 4
        end = at + 2 + length_at(jpeg, at + 2)
        at = next_marker(jpeg, end) if marker == SCAN else end
        found.append(Segment(marker, jpeg[start:end], jpeg[end:at]))


def length_at(jpeg, at):
    return struct.unpack_from(">H", jpeg, at)[0]


def next_marker(jpeg, at):
    """The end of a scan's data: the next marker that is not a restart marker."""
    while True:
        at = jpeg.index(0xFF, at)
        if jpeg[at + 1] != 0 and not 0xD0 <= jpeg[at + 1] <= 0xD7:
            return at
        at += 2


def chunks(png):
    """The chunks of a valid PNG."""
    found, at = [], len(SIGNATURE)
    while at < len(png):
        length = struct.unpack_from(">I", png, at)[0]
        found.append(Chunk(png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def jpeg_of(parts):
    return START + b"".join(part.bytes() for part in parts)


def png_of(parts):
    return SIGNATURE + b"".join(part.bytes() for part in parts)


def image(mode, seed=1):
    """Noise over a gradient, so that all sorts of coefficients occur."""
    width, height = SIZE
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = random.Random(seed)
    samples = (
        min(255, 4 * x + 3 * y + values.randrange(60))
        for y in range(height)
        for x in range(width)
        for _ in range(bands)
    )
    if mode in ("1", "P"):
        grey = Image.frombytes("L", SIZE, bytes(samples))
        return grey.convert("RGB").quantize(16) if mode == "P" else grey.convert("1")
    return Image.frombytes(mode, SIZE, bytes(samples))


def saved(mode, file_format, **how):
    file = io.BytesIO()
    image(mode).save(file, file_format, **how)
    return file.getvalue()


def jpegs():
    """A JPEG of each common kind."""
    baseline = saved("RGB", "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = segments(saved("RGB", "JPEG", subsampling=0))
    return {
        "baseline": baseline,
        "no subsampling": jpeg_of(plain),
        "grey": saved("L", "JPEG"),
        "CMYK": saved("CMYK", "JPEG"),
        "progressive": saved("RGB", "JPEG", progressive=True),
        "grey progressive": saved("L", "JPEG", progressive=True),
        "optimised": saved("RGB", "JPEG", optimize=True, quality=30),
        "with restarts": saved("RGB", "JPEG", restart_marker_blocks=1),
        "progressive with restarts": saved(
            "RGB", "JPEG", progressive=True, restart_marker_rows=1
        ),
        "with EXIF": saved("RGB", "JPEG", exif=exif, comment="a comment", icc_profile=b"a" * 200),
        "without tables": jpeg_of([part for part in segments(baseline) if part.marker != 0xC4]),
        "arithmetic": jpeg_of(frame_as(segments(baseline), 0xC9)),
        "lossless": jpeg_of(lossless(segments(saved("L", "JPEG")))),
        "two pictures": saved("RGB", "MPO", save_all=True, append_images=[image("RGB", 2)]),
        "with a film": baseline + b"\0\0\0\x18ftypmp42\0\0\0\0" + bytes(range(256)),
    }


def frame_as(parts, marker):
    """The same segments under another frame marker."""
    return [part._replace(marker=marker) if part.marker == 0xC0 else part for part in parts]


def lossless(parts):
    """A lossless JPEG. Its data is that of another kind: decoders make a picture of any data."""
    predicted = [
        part._replace(payload=part.payload[:-3] + b"\1\0\0") if part.marker == SCAN else part
        for part in parts
    ]
    return frame_as(predicted, 0xC3)


def pngs():
    """A PNG of each common kind."""
    plain = chunks(saved("RGB", "PNG"))
    header, pixels, end = plain
    thirds = [pixels.data[at : at + 500] for at in range(0, len(pixels.data), 500)]
    text = [Chunk(b"tEXt", b"Title\0noise"), Chunk(b"gAMA", b"\0\0\xb1\x8f")]
    return {
        "RGB": saved("RGB", "PNG"),
        "RGBA": saved("RGBA", "PNG"),
        "grey": saved("L", "PNG"),
        "grey and alpha": saved("LA", "PNG"),
        "16 bits": png_of(raw_png(16, 2)),
        "2 bits": png_of(raw_png(2, 0)),
        "black and white": saved("1", "PNG"),
        "palette": saved("P", "PNG"),
        "palette and alpha": saved("P", "PNG", transparency=3),
        "in many chunks": png_of([header, *(Chunk(b"IDAT", third) for third in thirds), end]),
        "with texts": png_of([header, *text, pixels, text[0], end]),
        "with a trailer": png_of(plain) + b"a trailer",
        "animated": saved("RGB", "PNG", save_all=True, append_images=[image("RGB", 2)]),
    }


def raw_png(depth, colour):
    """A PNG of noise in a depth that Pillow doesn't write."""
    width, height = SIZE
    samples = {0: 1, 2: 3}[colour]
    row = (width * depth * samples + 7) // 8
    values = random.Random(depth)
    rows = b"".join(b"\0" + values.randbytes(row) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return [Chunk(b"IHDR", header), Chunk(b"IDAT", zlib.compress(rows)), Chunk(b"IEND", b"")]
