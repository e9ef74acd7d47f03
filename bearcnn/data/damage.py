"""Damage of picture files that Pillow doesn't see: what it decodes would be grey or noise where a part was lost."""

import zlib
from collections.abc import Callable

from bearcnn.data.jpeg import LOST, TRUNCATED, find_loss, has_gap
from bearcnn.errors import PhotoError

_MOST_CHUNKS = 100_000  # of a PNG: as many parts as a photo of 800 MB in usual ones has
_ZEROS, _ERASED = bytes(64), b"\xff" * 64
_WEBP_PICTURES = (b"VP8 ", b"VP8L", b"ALPH")


def find_damage(data: bytes) -> str | None:
    """Return the reason why the picture in a file can't be whole; None if that can't be told.

    Before Pillow opens the file: it would read some hostile ones for hours. Uncompressed formats can't tell: zeros are
    black.
    """
    for start, (place, find) in _CHECKS.items():
        if data.startswith(start, place):
            try:
                return find(data)
            except PhotoError as error:
                return str(error)
    return None


def _find_png(data: bytes) -> str | None:
    """Check that the chunks of a PNG (ISO/IEC 15948, 5.3) end with IEND, and the checksums of the picture."""
    view, position = memoryview(data), 8
    for _ in range(_MOST_CHUNKS):
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if end > len(data):
            return TRUNCATED
        if kind == b"IDAT" and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return "file is damaged"
        if kind == b"IEND":
            return None
        position = end
    return "file is damaged: it has too many parts"


def _find_webp(data: bytes) -> str | None:
    """Check that the first picture of a WebP (RFC 9649) has no gap, and doesn't end in zeros."""
    start, end = 12, len(data)
    for _ in range(_MOST_CHUNKS):
        kind, position = data[start : start + 4], start + 8
        stop = min(end, position + int.from_bytes(data[start + 4 : position], "little"))
        if kind == b"ANMF":  # a frame, with chunks of its own
            start, end = position + 16, stop
            continue
        if kind in _WEBP_PICTURES and (
            has_gap(data, position, stop)
            or (kind != b"ALPH" and data.endswith(bytes(_most_zeros(data[position : position + 10])), position, stop))
        ):
            return LOST
        start = stop + stop % 2
        if kind in (b"VP8 ", b"VP8L") or start >= end:
            return None
    return "file is damaged: it has too many parts"


def _most_zeros(head: bytes) -> int:
    """Return how many zeros at the end of a WebP's picture data are more than one colour takes.

    At most 0.71 bytes for each block of 16 x 16 pixels were seen, in black pictures; half a bit for each pixel is 16.
    """
    if head[:1] == b"\x2f":  # lossless
        size = int.from_bytes(head[1:5], "little")
        width, height = (size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[place : place + 2], "little") & 0x3FFF for place in (6, 8))
    return len(_ZEROS) + (width + 15) // 16 * ((height + 15) // 16)


def _find_avif(data: bytes) -> str | None:
    """Check that the media data of an AVIF (ISO/IEC 14496-12, 8.1.1) have no gap, and don't end in one."""
    start = 0
    for _ in range(_MOST_CHUNKS):
        size, position = int.from_bytes(data[start : start + 4], "big"), start + 8
        if size == 1:  # the size is a larger number
            size, position = int.from_bytes(data[position : position + 8], "big"), position + 8
        end = min(len(data), start + size) if size else len(data)
        if data[start + 4 : start + 8] == b"mdat" and (
            data.endswith((_ZEROS, _ERASED), position, end) or has_gap(data, position, end)
        ):
            return LOST
        if end < position or end == len(data):
            return None
        start = end
    return "file is damaged: it has too many parts"


def _find_jpeg2000(data: bytes) -> str | None:
    """Check that a JPEG 2000 has its end marker: where the rest was lost there are zeros, which decode as grey."""
    return None if b"\xff\xd9" in data else TRUNCATED


_CHECKS: dict[bytes, tuple[int, Callable[[bytes], str | None]]] = {
    b"\xff\xd8\xff": (0, find_loss),
    b"\x89PNG\r\n\x1a\n": (0, _find_png),
    b"WEBP": (8, _find_webp),
    b"ftypavif": (4, _find_avif),
    b"ftypavis": (4, _find_avif),
    b"\0\0\0\x0cjP": (0, _find_jpeg2000),
    b"\xffO\xffQ": (0, _find_jpeg2000),
}
"""The start of each format, where it stands, and its check."""
