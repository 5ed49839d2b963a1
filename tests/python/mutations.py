"""Mutations of pictures: of their bytes, and of their segments or chunks.

Each takes its randomness from an argument, so that a seed makes the same picture again.
"""

import pictures
from pictures import Chunk, Segment

# Values that decoders treat differently from their neighbours.
EDGES = (0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x0F, 0x10, 0x11, 0x22, 0x3F, 0x40, 0x44, 0x7F, 0x80)
EDGES += (0xC0, 0xC2, 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xE0, 0xFE, 0xFF)


def mutated(source, name, photo, others):
    """A picture with one to three mutations; `others` are whole pictures to append or mix in."""
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        photo = _once(source, name, photo, others)
    return photo


def _once(source, name, photo, others):
    structural = {"jpeg": _segments, "png": _chunks}[name]
    if source.random() < 0.6:
        try:
            return structural(source, photo)
        except (IndexError, ValueError, KeyError, pictures.struct.error):
            # An earlier mutation has broken the structure.
            pass
    return _bytes(source, photo, others)


def _value(source):
    return source.choice(EDGES) if source.random() < 0.7 else source.randrange(256)


def _changed(source, data):
    """The bytes with one of them changed."""
    if not data:
        return bytes([_value(source)])
    at = source.randrange(len(data))
    value = data[at] ^ (1 << source.randrange(8)) if source.random() < 0.5 else _value(source)
    return data[:at] + bytes([value]) + data[at + 1 :]


def _resized(source, data):
    """The bytes with a few of them inserted or removed."""
    at = source.randint(0, len(data))
    if source.random() < 0.5:
        return data[:at] + source.randbytes(source.randint(1, 4)) + data[at:]
    return data[:at] + data[at + source.randint(1, 4) :]


def _bytes(source, photo, others):
    at, to = sorted(source.randint(0, len(photo)) for _ in range(2))
    junk = bytes(_value(source) for _ in range(source.randint(1, 8)))
    return source.choice(
        (
            lambda: _changed(source, photo),
            lambda: photo[:at] + junk + photo[at:],
            lambda: photo[:at] + photo[at + source.randint(1, 8) :],
            lambda: photo[:at] + photo[to:],
            lambda: photo[:to] + photo[at:],
            lambda: photo[:at],
            lambda: photo[: -source.randint(1, 16)],
            lambda: photo + junk,
            lambda: photo + source.choice(others),
            lambda: photo[:at] + source.choice(others),
            lambda: photo[:at] + bytes(to - at) + photo[to:],
        )
    )()


def _shuffled(source, parts):
    """The parts with one of them moved, swapped, repeated or removed."""
    parts = list(parts)
    at, to = source.randrange(len(parts)), source.randrange(len(parts))
    match source.randrange(4):
        case 0:
            parts[at], parts[to] = parts[to], parts[at]
        case 1:
            parts.insert(to, parts[at])
        case 2:
            del parts[at]
        case 3:
            parts.insert(to, parts.pop(at))
    return parts


def _segments(source, photo):
    parts = pictures.segments(photo)
    if source.random() < 0.3:
        return pictures.jpeg_of(_shuffled(source, parts))
    at = source.randrange(len(parts))
    part = parts[at]
    junk = bytes(_value(source) for _ in range(source.randint(1, 8)))
    payload = part.payload or b""
    parts[at] = source.choice(
        (
            lambda: part._replace(payload=_changed(source, payload)),
            lambda: part._replace(payload=_changed(source, payload[:12]) + payload[12:]),
            lambda: part._replace(payload=_resized(source, payload)),
            lambda: part._replace(marker=_value(source)),
            lambda: part._replace(behind=part.behind + junk),
            lambda: part._replace(behind=_changed(source, part.behind)),
            lambda: part._replace(payload=None, behind=junk + payload),
        )
    )()
    if source.random() < 0.2:
        payload = None if source.random() < 0.5 else junk
        parts.insert(source.randint(0, len(parts)), Segment(_value(source), payload))
    return pictures.jpeg_of(parts)


def _chunks(source, photo):
    parts = pictures.chunks(photo)
    if source.random() < 0.3:
        return pictures.png_of(_shuffled(source, parts))
    at = source.randrange(len(parts))
    part = parts[at]
    cut = source.randint(0, len(part.data))
    names = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"tEXt", b"acTL", b"ABCD", b"abCd")
    parts[at : at + 1] = source.choice(
        (
            lambda: [part._replace(data=_changed(source, part.data))],
            lambda: [part._replace(data=_changed(source, part.data[:13]) + part.data[13:])],
            lambda: [part._replace(data=_resized(source, part.data))],
            lambda: [part._replace(name=source.choice(names))],
            lambda: [part._replace(name=_changed(source, part.name))],
            lambda: [part._replace(checksum=source.randrange(1 << 32))],
            lambda: [part._replace(data=part.data[:cut]), part._replace(data=part.data[cut:])],
            lambda: [part, Chunk(source.choice(names), source.randbytes(source.randint(0, 9)))],
        )
    )()
    return pictures.png_of(parts)
