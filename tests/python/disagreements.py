"""Where the service's check of photos disagrees with the decoders, and why.

The rule: pictures that the common decoders take are accepted, and pictures that none of them takes
are refused, by their headers alone. Decoders differ, and headers don't show everything. Each row
below is one kind of permitted disagreement, with its reason and with a test that recognises it. A
disagreement that no row explains is a bug.
"""

import itertools
import re
import zlib
from typing import NamedTuple

import pictures


class Case(NamedTuple):
    """A picture, the decoders that take it, and the service's objection, None if it accepts it.

    `judge` asks the service about another picture, and `takers` asks the decoders.
    """

    photo: bytes
    taken_by: set
    sentence: str | None
    judge: object
    takers: object


class Row(NamedTuple):
    name: str
    reason: str
    explains: object


def is_png(photo):
    return photo.startswith(pictures.SIGNATURE)


def explanation(case):
    """The name of the first row that explains a disagreement, or None."""
    rows = ACCEPTED if case.sentence is None else REFUSED
    return next((row.name for row in rows if row.explains(case)), None)


# Kinds of accepted PNGs.


def pixels_are_broken(case):
    if not is_png(case.photo):
        return False
    parts = readable_chunks(case.photo)
    data = b"".join(part.data for part in parts if part.name == b"IDAT")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data)
    except zlib.error:
        return True
    return not unpacker.eof or not rows_are_sound(parts[0].data, raw)


def readable_chunks(photo):
    """The chunks up to IEND, without any trailer."""
    end = photo.index(b"IEND", len(pictures.SIGNATURE)) + 8
    return pictures.chunks(photo[:end])


def rows_are_sound(header, raw):
    """Whether there are as many rows as the header announces, each with a known filter."""
    width, height, depth, colour, _, _, interlace = pictures.struct.unpack(">IIBBBBB", header[:13])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = ADAM7 if interlace else [(0, 0, 1, 1)]
    at = 0
    for x, y, across, down in passes:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns <= 0 or rows <= 0:
            continue
        stride = 1 + -(-columns * bits // 8)
        filters = raw[at : at + rows * stride : stride]
        at += rows * stride
        if len(raw) < at or any(kind > 4 for kind in filters):
            return False
    return True


# Where each pass of an interlaced PNG starts, and its steps.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
ADAM7 += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def extra_chunks_are_broken(case):
    """A decoder takes it if only the chunks remain that its first picture needs."""
    if not is_png(case.photo):
        return False
    header, *parts = readable_chunks(case.photo)
    palette = [part for part in parts if part.name == b"PLTE"][:1]
    first = next(at for at, part in enumerate(parts) if part.name == b"IDAT")
    pixels = itertools.takewhile(lambda part: part.name == b"IDAT", parts[first:])
    needed = [header, *palette, *pixels, pictures.Chunk(b"IEND", b"")]
    return bool(case.takers(pictures.png_of(needed)))


# Kinds of accepted JPEGs.


def stray_marker_among_restarts(case):
    """A decoder takes it without its reserved markers."""
    photo = case.photo
    if is_png(photo) or b"\xff\xdd" not in photo:
        return False
    return bool(case.takers(re.sub(rb"\xff+[\x02-\xbf]", b"", photo)))


def refused_for_two_reasons(case):
    """A lossless frame, TEM or a damaged application segment: only one decoder refuses each."""
    photo = case.photo
    plain = re.sub(rb"\xff\x01", b"", photo)
    return not is_png(photo) and (b"\xff\xc3" in photo or bool(case.takers(plain)))


ACCEPTED = [
    Row(
        "pixels of a PNG",
        "the service doesn't decompress the pixels: that takes a decompressor, and its time. "
        "Checksums reveal bytes that were changed in transit, so only the mistakes of an encoder "
        "remain",
        pixels_are_broken,
    ),
    Row(
        "extra chunks of a PNG",
        "no picture depends on them. libpng ignores damaged ones, and each decoder here refuses "
        "some: Pillow for the checksums of texts and profiles, OpenCV for odd names, both for "
        "animations",
        extra_chunks_are_broken,
    ),
    Row(
        "reserved marker among restarts",
        "libjpeg skips reserved markers up to the last restart marker of a scan. Only a decoder "
        "that counts the blocks knows which restart marker is the last",
        stray_marker_among_restarts,
    ),
    Row(
        "refused for two reasons",
        "each decoder here refuses it for a part that the other decoder takes",
        refused_for_two_reasons,
    ),
]


# Kinds of refused pictures.


def says(*words):
    return lambda case: any(word in case.sentence for word in words)


def by(decoder, explains):
    """Only this decoder takes it."""
    return lambda case: case.taken_by == {decoder} and explains(case)


def is_sound_up_to_its_first_scan(case):
    """The service accepts the same JPEG if it ends after its first scan."""
    at = 2
    photo = case.photo
    while not is_png(photo) and (at := photo.find(b"\xff\xda", at)) > 0:
        try:
            end = pictures.next_marker(photo, at + 2 + pictures.length_at(photo, at + 2))
        except (IndexError, ValueError, pictures.struct.error):
            return False
        if case.judge(photo[:end] + pictures.END) is None:
            return True
        at += 2
    return False


LIBPNG = (
    "it doesn't start with its header",
    "it has two headers",
    "its header (IHDR) is not 13 bytes long",
    "its compression, filter or interlace method",
    "its colour type doesn't exist",
    "its palette (PLTE)",
    "it has two palettes",
    "a checksum is wrong",
    "a critical chunk",
    "a chunk's name",
    "it has no pixels (IDAT)",
)

REFUSED = [
    Row(
        "cut off",
        "a picture without its end is cut off, even if a decoder invents the rest: OpenCV paints "
        "it grey, and Pillow reads a PNG only as far as its pixels. Headers can't distinguish a "
        "file that lacks only its end from a file that lacks half of its pixels",
        says("is cut off"),
    ),
    Row("too many pixels", "a limit of the service", says("pixels; at most")),
    Row(
        "behind the first scan",
        "OpenCV stops reading after the last row, and paints missing parts grey. Pillow reads to "
        "the end and refuses the picture, unless a broken table there swallows the end",
        lambda case: "OpenCV" in case.taken_by and is_sound_up_to_its_first_scan(case),
    ),
    Row(
        "tables before the picture",
        "Pillow takes a JPEG that has only tables for the beginning of the next JPEG",
        by("Pillow", says("it ends before its first scan", "it starts twice")),
    ),
    Row(
        "what libpng refuses",
        "Pillow reads PNGs with its own parser and checks little: it invents a missing palette, "
        "and pixels under a wrong checksum are those of another picture. libpng refuses them",
        by("Pillow", says(*LIBPNG)),
    ),
    Row(
        "chunks between pixels",
        "decoders stop at the first gap. They take the picture only if all pixels come before it, "
        "which only a decompressor can find out",
        says("other chunks lie between its pixels"),
    ),
    Row(
        "animation without a first picture",
        "some decoders show a later picture of an animation whose first picture is broken",
        lambda case: b"acTL" in case.photo
        and (case.taken_by == {"OpenCV"} or "compressed with zlib" in case.sentence),
    ),
]
