"""Drawn pictures in many formats, and seeded damage to their bytes."""

import functools
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from bearcnn.data.synthetic.scene import draw_scene

Generator = np.random.Generator

SCENE_SIDE = 160
WITH_EXIF = Image.Exif()
WITH_EXIF[ExifTags.Base.Orientation] = 6
WITH_EXIF[ExifTags.Base.DateTime] = "2026:01:31 12:00:00"


def _sixteen(scene: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257)


def _floats(scene: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(scene.convert("L")) / 255).astype(np.float32))


def _half_clear(scene: Image.Image) -> Image.Image:
    scene = scene.convert("RGBA")
    scene.putalpha(scene.convert("L"))
    return scene


def _few_colours(scene: Image.Image) -> Image.Image:
    return scene.quantize(64)


Variant = tuple[Callable[[Image.Image], Image.Image] | str | None, dict[str, Any]]
VARIANTS: dict[str, list[Variant]] = {
    "JPEG": [
        (None, {"quality": 85}),
        (None, {"quality": 75, "progressive": True}),
        (None, {"quality": 90, "optimize": True, "subsampling": "4:4:4", "exif": WITH_EXIF}),
        ("L", {"quality": 80, "restart_marker_blocks": 5}),
        ("CMYK", {"quality": 80}),
    ],
    "PNG": [
        (None, {}),
        (_half_clear, {}),
        (_few_colours, {"transparency": 3}),
        (_sixteen, {}),
        (None, {"save_all": True, "append_images": "next", "exif": WITH_EXIF}),
    ],
    "WEBP": [
        (None, {"quality": 80}),
        (None, {"lossless": True, "method": 2}),
        (_half_clear, {"quality": 70, "exif": WITH_EXIF}),
        (None, {"save_all": True, "append_images": "next"}),
    ],
    "GIF": [
        (_few_colours, {}),
        (_few_colours, {"transparency": 5, "comment": b"a camera's own"}),
        (_few_colours, {"save_all": True, "append_images": "next"}),
    ],
    "TIFF": [
        (None, {}),
        (None, {"compression": "tiff_lzw"}),
        (_half_clear, {"compression": "tiff_adobe_deflate"}),
        (None, {"compression": "jpeg"}),
        (_sixteen, {"compression": "packbits"}),
        (_floats, {}),
        ("1", {"compression": "group4"}),
    ],
    "AVIF": [
        (None, {"quality": 70, "speed": 10}),
        (_half_clear, {"quality": 60, "speed": 10}),
        (None, {"quality": 40, "speed": 10, "exif": WITH_EXIF}),
    ],
}
"""For each format: what is done to a scene, and how it is saved."""


@functools.cache
def draw_whole(file_format: str, number: int) -> bytes:
    """The bytes of a whole picture: scene and variant follow from the number."""
    scene = _draw(number % 12)
    change, options = VARIANTS[file_format][number % len(VARIANTS[file_format])]
    image = scene.convert(change) if isinstance(change, str) else change(scene) if change else scene
    if options.get("append_images") == "next":
        options = {**options, "append_images": [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]}
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


@functools.cache
def _draw(number: int) -> Image.Image:
    return draw_scene(5, number, size=SCENE_SIDE, is_bear=number % 2 == 0).image


def _place(rng: Generator, data: bytearray, room: int = 1) -> int:
    return int(rng.integers(0, max(1, len(data) - room + 1)))


def flip_bits(rng: Generator, data: bytearray) -> None:
    for _ in range(int(rng.integers(1, 20))):
        data[_place(rng, data)] ^= 1 << int(rng.integers(8))


def flip_in_head(rng: Generator, data: bytearray) -> None:
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(0, min(len(data), 300)))] ^= 1 << int(rng.integers(8))


def cut(rng: Generator, data: bytearray) -> None:
    del data[_place(rng, data) :]


def zero_tail(rng: Generator, data: bytearray) -> None:
    place = _place(rng, data)
    data[place:] = bytes(len(data) - place)


def zero_cluster(rng: Generator, data: bytearray) -> None:
    _fill(rng, data, 0)


def erase_cluster(rng: Generator, data: bytearray) -> None:
    _fill(rng, data, 0xFF)


def _fill(rng: Generator, data: bytearray, byte: int) -> None:
    """Whole sectors of 512 bytes of one value, as a memory card loses them."""
    first = int(rng.integers(0, max(1, len(data) // 512)))
    start = 512 * first
    end = min(len(data), start + 512 * int(rng.integers(1, 9)))
    data[start:end] = bytes([byte]) * (end - start)


def lie_in_head(rng: Generator, data: bytearray) -> None:
    """Numbers near the start become huge, zero or negative: sizes, offsets, counts."""
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(0, max(1, min(len(data), 256) - 8)))
        kind = str(rng.choice([">H", "<H", ">I", "<I"]))
        most = 0xFFFF if kind[1] == "H" else 0xFFFFFFFF
        values = [0, 1, most, most // 2, most // 2 + 1, 65535, 16383, 30000, int(rng.integers(0, most))]
        value = struct.pack(kind, min(most, int(rng.choice(values))))
        data[place : place + len(value)] = value


def take_out(rng: Generator, data: bytearray) -> None:
    place = _place(rng, data)
    del data[place : place + int(rng.integers(1, 600))]


def put_in(rng: Generator, data: bytearray) -> None:
    place = _place(rng, data)
    data[place:place] = rng.bytes(int(rng.integers(1, 200)))


def repeat(rng: Generator, data: bytearray) -> None:
    place = _place(rng, data)
    piece = data[place : place + int(rng.integers(1, 1000))]
    data[place:place] = piece * int(rng.integers(1, 30))


def splice(rng: Generator, data: bytearray) -> None:
    """The start of one picture with the end of another of any format."""
    other = draw_whole(str(rng.choice(list(VARIANTS))), int(rng.integers(60)))
    place = _place(rng, data)
    data[place:] = other[min(place, len(other)) :]


MUTATIONS: dict[str, Callable[[Generator, bytearray], None]] = {
    function.__name__: function
    for function in (
        flip_bits,
        flip_in_head,
        cut,
        zero_tail,
        zero_cluster,
        erase_cluster,
        lie_in_head,
        take_out,
        put_in,
        repeat,
        splice,
    )
}


def mutate(file_format: str, number: int, seed: int) -> tuple[str, bytes, bytes]:
    """Damage picture `number` of a format; returns the damage's name, the bytes, and those of the whole picture."""
    rng = np.random.default_rng([seed, list(VARIANTS).index(file_format), number])
    whole = draw_whole(file_format, int(rng.integers(60)))
    data = bytearray(whole)
    name = list(MUTATIONS)[number % len(MUTATIONS)]
    MUTATIONS[name](rng, data)
    if rng.random() < 0.15 and data:  # sometimes two at once
        second = str(rng.choice(list(MUTATIONS)))
        MUTATIONS[second](rng, data)
        name = f"{name} and {second}"
    return name, bytes(data), whole
