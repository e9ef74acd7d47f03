from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from bearcnn.data.jpeg import drop_details, find_loss
from bearcnn.data.photos import load_photo
from bearcnn.errors import PhotoError

ImageFile.MAXBLOCK = 1 << 20  # noise at quality 100 is larger than the buffer that Pillow takes for it


def write_jpeg(width: int, height: int, **options: object) -> bytes:
    rng = np.random.default_rng(width * height)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((width, height))
    pixels = np.asarray(coarse).astype(int) + rng.integers(-30, 31, (height, width, 3))
    stream = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(str(options.pop("mode", "RGB"))).save(
        stream, "JPEG", **options
    )
    return stream.getvalue()


def decode_eighth(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        width = image.width
        image.draft(None, (1, 1))
        image.load()
        assert image.width == -(-width // 8)
        return np.asarray(image)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(16, 200),
    height=st.integers(16, 200),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    restarts=st.sampled_from([0, 3]),
)
def test_without_its_details_a_progressive_jpeg_has_the_same_pixels_at_an_eighth(
    width: int, height: int, quality: int, subsampling: str, mode: str, restarts: int
) -> None:
    data = write_jpeg(
        width,
        height,
        progressive=True,
        quality=quality,
        subsampling=subsampling,
        mode=mode,
        restart_marker_blocks=restarts,
    )
    coarse = drop_details(data)
    assert len(coarse) < len(data)
    np.testing.assert_array_equal(decode_eighth(coarse), decode_eighth(data))


def test_a_photo_is_loaded_without_details_where_they_make_no_difference() -> None:
    data = write_jpeg(1600, 1200, progressive=True, quality=90)
    with Image.open(BytesIO(data)) as image:
        image.draft(None, (128, 128))
        expected = np.asarray(image)
    np.testing.assert_array_equal(np.asarray(load_photo(BytesIO(data), at_least=128)), expected)
    with Image.open(BytesIO(data)) as image:  # at a quarter details do make one
        image.draft(None, (200, 200))
        expected = np.asarray(image)
    np.testing.assert_array_equal(np.asarray(load_photo(BytesIO(data), at_least=200)), expected)


def test_most_of_a_progressive_photo_is_detail() -> None:
    data = write_jpeg(800, 600, progressive=True, quality=90)
    assert len(drop_details(data)) < len(data) / 2


def test_a_jpeg_with_one_scan_stays_as_it_is() -> None:
    data = write_jpeg(100, 80)
    assert drop_details(data) == data


@settings(max_examples=200, deadline=None)
@given(cut=st.floats(0, 1), place=st.floats(0, 1), byte=st.integers(0, 255))
def test_damage_never_raises(cut: float, place: float, byte: int) -> None:
    data = bytearray(write_jpeg(64, 48, progressive=True))
    data[int(place * (len(data) - 1))] = byte
    damaged = bytes(data[: int(cut * len(data))])
    assert len(drop_details(damaged)) <= len(damaged)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_progressive_photo_has_no_picture(share: float) -> None:
    data = write_jpeg(1600, 1200, progressive=True)
    cut = data[: int(len(data) * share)]
    for rest in (b"", bytes(len(data) - len(cut))):
        with pytest.raises(PhotoError, match="truncated"):
            load_photo(BytesIO(cut + rest), at_least=128)


def test_the_end_is_looked_for_behind_the_picture_data() -> None:
    data = write_jpeg(64, 48)
    assert find_loss(data) is None
    assert find_loss(data + b"something of the camera's own") is None
    assert find_loss(data[:-2]) == "file is truncated"
    thumbnail = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9"  # ends itself, before the picture data
    assert find_loss(data[:2] + thumbnail + data[2:-2]) == "file is truncated"
    assert find_loss(data[:-2] + data) == "file is truncated", "the end is that of the next picture"
