"""Pictures of which a part was lost: Pillow decodes them as grey or noise, without an error."""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bearcnn.data.cache import build_cache
from bearcnn.data.damage import find_damage
from bearcnn.data.jpeg import MOST_SCANS
from bearcnn.data.photos import find_photos, load_photo
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.errors import PhotoError
from bearcnn.inference.predictor import Predictor, predict_photos
from tests.helpers import bombs
from tests.helpers.onnx_models import write_model
from tests.helpers.places import SHARED

SECTOR = 512
LOST = "file is damaged: a part of it is lost"


def noise(width: int = 400, height: int = 300) -> Image.Image:
    rng = np.random.default_rng(width)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((width, height))
    pixels = np.asarray(coarse).astype(int) + rng.integers(-20, 21, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def lose(data: bytes, start: int, length: int, byte: int = 0) -> bytes:
    return data[:start] + bytes([byte]) * length + data[start + length :]


NOISE = noise()
PICTURES = {
    "jpeg": encode(NOISE, "JPEG", quality=90),
    "optimized jpeg": encode(NOISE, "JPEG", quality=90, optimize=True),
    "progressive jpeg": encode(NOISE, "JPEG", quality=90, progressive=True),
    "grey jpeg": encode(NOISE.convert("L"), "JPEG", quality=90),
    "mpo": encode(NOISE, "MPO", save_all=True, append_images=[NOISE.rotate(5)]),
    "png": encode(NOISE, "PNG"),
    "webp": encode(NOISE, "WEBP", quality=95),
    "lossless webp": encode(NOISE, "WEBP", lossless=True),
    "animated webp": encode(NOISE, "WEBP", quality=95, save_all=True, append_images=[NOISE.rotate(9)]),
    "avif": encode(NOISE, "AVIF", quality=95, speed=10),
}


def length_of_first(name: str) -> int:
    """Of several pictures, the first is read."""
    return len(PICTURES[name]) // 2 if name in ("mpo", "animated webp") else len(PICTURES[name])


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_picture_with_a_lost_cluster_is_damaged(name: str, share: float) -> None:
    data = PICTURES[name]
    start = int(share * length_of_first(name)) // SECTOR * SECTOR
    assert find_damage(data) is None
    with pytest.raises(PhotoError, match="damaged"):
        load_photo(BytesIO(lose(data, start, 4 * SECTOR)))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_picture_that_ends_in_zeros_is_damaged(name: str, share: float) -> None:
    data = PICTURES[name]
    start = int(share * length_of_first(name)) + 3
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        load_photo(BytesIO(lose(data, start, len(data) - start)))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_with_an_erased_cluster_is_damaged(name: str) -> None:
    start = length_of_first(name) // 2 // SECTOR * SECTOR
    with pytest.raises(PhotoError, match="damaged"):
        load_photo(BytesIO(lose(PICTURES[name], start, 3 * SECTOR, 0xFF)))


def test_zeros_at_any_place_of_a_camera_jpeg_are_a_loss() -> None:
    data = PICTURES["jpeg"]
    assert find_damage(lose(data, len(data) // 2 + 7, 64)) == LOST
    assert find_damage(lose(data, len(data) // 2 + 7, 70)) == LOST


def test_an_erased_part_is_a_loss_and_takes_no_time() -> None:
    data = PICTURES["jpeg"]
    assert find_damage(lose(data, len(data) // 2, SECTOR, 0xFF)) == LOST
    assert find_damage(bombs.erased_jpeg(2)) == LOST
    head = data[:2] + b"\xff" * 70_000 + data[2:]
    assert find_damage(head) == LOST


@pytest.mark.parametrize("colour", ["black", "white", "grey"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": "4:4:4"}])
def test_an_area_of_one_colour_is_no_loss(colour: str, options: dict[str, Any]) -> None:
    for picture in (Image.new("RGB", (3000, 2000), colour), Image.new("RGB", (3000, 2000), colour)):
        picture.paste(NOISE, (1300, 900))
        for file_format in ("JPEG",):
            data = encode(picture, file_format, **options)
            assert find_damage(data) is None, (colour, options)
            assert find_damage(encode(picture.convert("L"), file_format, **options)) is None


def test_where_the_tables_make_one_colour_zeros_whole_sectors_are_still_a_loss() -> None:
    picture = Image.new("L", (3000, 2000), "white")
    picture.paste(NOISE.convert("L"), (1300, 900))
    data = encode(picture, "JPEG", optimize=True)
    start = data.index(bytes(600))  # flat, and zeros
    assert find_damage(data) is None
    middle = data.index(bytes.fromhex("ffda")) + 20
    place = next(
        place
        for place in range(-(-middle // SECTOR) * SECTOR, len(data) - 2 * SECTOR, SECTOR)
        if data[place - 1] and data[place + SECTOR] and not data[place : place + SECTOR].startswith(bytes(64))
    )
    assert find_damage(lose(data, place, SECTOR)) == LOST
    assert start != place


def test_pictures_without_detail_pass_in_every_format() -> None:
    for file_format in ("PNG", "WEBP", "AVIF", "JPEG"):
        for options in ({"lossless": True}, {}) if file_format == "WEBP" else ({},):
            assert find_damage(encode(Image.new("RGB", (900, 700), "black"), file_format, **options)) is None
            assert find_damage(encode(draw_scene(1, 2, size=128, is_bear=True).image, file_format, **options)) is None


def test_a_png_needs_its_end_and_its_checksums() -> None:
    data = PICTURES["png"]
    place = data.index(b"IDAT") + 4
    flipped = bytearray(data)
    flipped[-40] ^= 1  # in the checksum of the picture or its last bytes: Pillow has all pixels by then
    assert find_damage(bytes(flipped)) == "file is damaged"
    assert find_damage(data[: data.index(b"IEND") - 4]) == "file is truncated"
    assert find_damage(data + b"something of a program's own") is None
    assert zlib.crc32(data[place - 4 : place]) != 0


def test_a_comment_may_hold_anything() -> None:
    data = PICTURES["jpeg"]
    for content in (bytes(2000), b"\xff" * 2000, b"\xff\xd9\xff\xda" * 50):
        comment = b"\xff\xfe" + (len(content) + 2).to_bytes(2, "big") + content
        assert find_damage(data[:2] + comment + data[2:]) is None


def test_what_follows_the_picture_does_not_matter() -> None:
    for name in ("jpeg", "progressive jpeg"):
        for rest in (bytes(5000), b"\xff" * 5000, b"\xff\xda" * 500, PICTURES["webp"]):
            assert find_damage(PICTURES[name] + rest) is None


@pytest.mark.parametrize("scans", [MOST_SCANS + 1, 30_000])
def test_too_many_scans_are_refused(scans: int) -> None:
    reason = find_damage(bombs.progressive_jpeg(64, 64, scans))
    assert reason == f"file is damaged: more than {MOST_SCANS} scans"


def test_a_file_of_too_many_parts_is_refused_before_it_is_opened() -> None:
    small = PICTURES["jpeg"]
    for data in (
        bombs.png_of_chunks(100_001),
        small[:2] + b"\xff\xfe\x00\x02" * 5000 + small[2:],
        b"RIFF\0\0\0\0WEBP" + b"abcd\0\0\0\0" * 100_001,
        b"\0\0\0\x0cftypavif" + b"\0\0\0\x08free" * 100_001,
    ):
        with pytest.raises(PhotoError, match="too many parts"):
            load_photo(BytesIO(data))


def test_prediction_and_cache_say_what_is_lost(tmp_path: Path) -> None:
    paths = []
    for name, data in PICTURES.items():
        start = length_of_first(name) // 2 // SECTOR * SECTOR
        paths.append(tmp_path / f"{name}.jpg")
        paths[-1].write_bytes(lose(data, start, 4 * SECTOR))
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    rows = list(predict_photos(predictor, paths))
    cache = build_cache(paths, 16, "squish", root=tmp_path / "cache")
    assert [row.error for row in rows] == list(cache.reasons)
    assert all(row.error and "damaged" in row.error for row in rows)


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the shared photos are not here")
@pytest.mark.slow  # reads thousands of files
def test_no_real_photo_is_called_damaged() -> None:
    paths = [path for folder in ("bears", "large", "orientation") for path in find_photos(SHARED / "data" / folder)]
    assert len(paths) > 2400
    assert {path.name: reason for path in paths if (reason := find_damage(path.read_bytes()))} == {}


@pytest.mark.skipif(not (SHARED / "data/large").is_dir(), reason="the shared photos are not here")
def test_camera_photos_with_lost_sectors_are_all_called_damaged() -> None:
    for path in find_photos(SHARED / "data" / "large"):
        data = path.read_bytes()
        for share in (0.2, 0.5, 0.9):
            assert find_damage(lose(data, int(share * len(data)) // SECTOR * SECTOR, 64 * SECTOR)), path.name
