"""JPEG markers (ITU T.81, annex B): checks and cuts that Pillow doesn't offer."""

import re

_START_OF_SCAN, _END_OF_IMAGE, _PROGRESSIVE_FRAME = 0xDA, 0xD9, 0xC2
# Tables (DHT, DQT, DRI), comments and applications' own segments: what may stand between two scans.
_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed 0xff, a restart or padding: the next marker


def has_end(data: bytes) -> bool:
    """Check whether the end marker follows the picture data."""
    position = 2
    while data[position : position + 2] != b"\xff\xda":  # start of scan; an end before it is the thumbnail's
        if data[position : position + 1] != b"\xff":
            return True  # junk between the segments: accept what Pillow decoded
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data.rfind(b"\xff\xd9", position) >= 0  # from the end, where it is


def drop_details(data: bytes) -> bytes:
    """Return a progressive JPEG without the scans that make no difference at 1/8 of its size.

    At 1/8 a block of 8 x 8 pixels is one pixel, its mean, and the DC scans alone hold the means. Each component keeps
    its first other scan too: without it libjpeg would smooth the means. Components stored coarser than the rest
    (usually the colours) keep all scans, because libjpeg decodes them at a larger scale. A file with another structure
    is returned unchanged. Measured on eight camera photos of 8 megapixels and more, saved as progressive JPEG: the same
    pixels at 128 px in 0.45 of the time (0.39 to 0.56), 25 ms instead of 54.
    """
    position, parts = 2, [data[:2]]
    finest: set[int] = set()
    seen: set[int] = set()
    try:
        while data[position] == 0xFF:
            marker = data[position + 1]
            if marker == _END_OF_IMAGE:
                return b"".join([*parts, data[position:]])
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            keep = True
            if marker == _PROGRESSIVE_FRAME:
                finest = _find_finest(data[position:end])
            elif marker == _START_OF_SCAN:
                components = data[position + 4]
                component, first_coefficient = data[position + 5], data[position + 5 + 2 * components]
                if first_coefficient:  # only a DC scan may have several components
                    keep = component not in seen or component not in finest
                    if first_coefficient < 10:  # the coefficients that libjpeg smooths with
                        seen.add(component)
                following = _AFTER_SCAN.search(data, end)
                if following is None:
                    return data
                end = following.start()
            elif marker not in _TABLES:
                return data
            if keep:
                parts.append(data[position:end])
            position = end
    except IndexError:  # it ends in the middle of a segment
        pass
    return data


def _find_finest(frame: bytes) -> set[int]:
    """Find the components that are stored at full resolution."""
    sampling = {frame[10 + 3 * number]: frame[11 + 3 * number] for number in range(frame[9])}  # 4 bits across, 4 down
    across, down = max(each >> 4 for each in sampling.values()), max(each & 15 for each in sampling.values())
    return {component for component, each in sampling.items() if each == across << 4 | down}
