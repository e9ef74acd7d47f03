"""Small files that would take a decoder minutes or gigabytes, and the largest ones that are still read."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image


def progressive_jpeg(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG with so many scans beyond its own, each without data: a pass over all blocks each."""
    stream = BytesIO()
    Image.new("L", (64, 64), 90).save(stream, "JPEG", progressive=True)
    data = _resize_jpeg(stream.getvalue(), b"\xff\xc2", width, height)
    return data[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" * scans + data[-2:]


def large_jpeg(width: int, height: int) -> bytes:
    """A grey baseline JPEG that says it is so large, and ends early."""
    stream = BytesIO()
    Image.new("L", (64, 64), 90).save(stream, "JPEG")
    return _resize_jpeg(stream.getvalue(), b"\xff\xc0", width, height)


def _resize_jpeg(data: bytes, frame: bytes, width: int, height: int) -> bytes:
    place = data.index(frame) + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def erased_jpeg(megabytes: int) -> bytes:
    """A JPEG with megabytes of 0xff before its end, as in an erased part of a memory card."""
    stream = BytesIO()
    Image.effect_noise((256, 256), 60).save(stream, "JPEG")
    data = stream.getvalue()
    return data[:-2] + b"\xff" * (megabytes * 10**6) + data[-2:]


def webp(width: int, height: int) -> bytes:
    """A WebP of one colour with alpha, in 38 bytes: lossless, with codes of no bits."""
    bits = [
        (0x2F, 8),
        (width - 1, 14),
        (height - 1, 14),
        (1, 1),
        (0, 3),  # signature, size, alpha, version
        (0, 1),
        (0, 1),
        (0, 1),  # no transform, no colour cache, one group of codes
        *[(1, 1), (0, 1), (0, 1), (0, 1)] * 5,  # five codes of one symbol
    ]
    number, place = 0, 0
    for value, length in bits:
        number |= value << place
        place += length
    payload = number.to_bytes(place // 8 + 4, "little")
    payload += b"\0" * (len(payload) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def png(width: int, height: int, depth: int = 8, colour: int = 6) -> bytes:
    """A PNG of zeros; colour 0 is grey, 2 RGB, 6 RGBA."""
    row = 1 + (width * depth * {0: 1, 2: 3, 6: 4}[colour] + 7) // 8
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(deflated_zeros(row * height))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def png_of_chunks(number: int) -> bytes:
    """A small PNG with so many empty chunks."""
    whole = png(8, 8)
    return whole[:33] + _chunk(b"tEXt", b"") * number + whole[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def float_tiff(width: int, height: int) -> bytes:
    """A TIFF of floats, all zero, in one deflated strip."""
    body = b"".join(deflated_zeros(4 * width * height))
    tags = {
        256: (4, width),
        257: (4, height),
        258: (3, 32),
        259: (3, 8),
        262: (3, 1),
        273: (4, 0),
        277: (3, 1),
        278: (4, height),
        279: (4, len(body)),
        339: (3, 3),
    }
    tags[273] = (4, 8 + 2 + 12 * len(tags) + 4)
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body


def deflated_zeros(number: int) -> Iterator[bytes]:
    """So many zero bytes, as a zlib stream, a piece at a time."""
    packer, piece = zlib.compressobj(9), bytes(1 << 22)
    for _ in range(number >> 22):
        yield packer.compress(piece)
    yield packer.compress(piece[: number & (1 << 22) - 1])
    yield packer.flush()
