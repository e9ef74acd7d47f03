import os
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from bearcnn.data.colours import to_rgb
from bearcnn.data.photos import find_photos, load_photo, load_pixels, resize_photo, take_look
from bearcnn.errors import PhotoError
from tests.helpers import bombs
from tests.helpers.deep_folders import nest_folders
from tests.helpers.places import SHARED

STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # how a camera that writes this orientation has turned the scene


def draw_scene(width: int = 96, height: int = 64) -> Image.Image:
    """Four corners of different colours with some texture, so that any turn and any lost part shows."""
    y, x = np.mgrid[0:height, 0:width]
    texture = np.sin(x / 5) * np.cos(y / 7) * 16
    red = np.where(x < width // 2, 220, 30) - texture / 2
    green = np.where(y < height // 2, 200, 40) + texture
    blue = np.where((x < width // 2) == (y < height // 2), 60, 180) + texture
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def load(data: bytes, at_least: int | None = None) -> np.ndarray:
    return np.asarray(load_photo(BytesIO(data), at_least)).astype(int)


def reason_for(data: bytes) -> str:
    with pytest.raises(PhotoError) as error:
        load_photo(BytesIO(data))
    return str(error.value)


def write_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG of any kind, also of those that Pillow doesn't write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


SCENE = draw_scene()
RAMP = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(8, 32)
ORIENTED = Image.Exif()
ORIENTED[ExifTags.Base.Orientation] = 6
PHOTOS = {
    "jpeg": encode(SCENE, "JPEG", exif=ORIENTED),
    "progressive jpeg": encode(SCENE, "JPEG", progressive=True),
    "cmyk jpeg": encode(SCENE.convert("CMYK"), "JPEG"),
    "mpo": encode(SCENE, "MPO", save_all=True, append_images=[SCENE.rotate(5)]),
    "png": encode(SCENE, "PNG"),
    "16-bit png": encode(Image.fromarray(RAMP), "PNG"),
    "palette png": encode(SCENE.quantize(16), "PNG"),
    "animated png": encode(SCENE, "PNG", save_all=True, append_images=[SCENE.rotate(9)]),
    "gif": encode(SCENE, "GIF"),
    "animated gif": encode(SCENE, "GIF", save_all=True, append_images=[SCENE.rotate(9)]),
    "webp": encode(SCENE, "WEBP"),
    "lossless webp": encode(SCENE, "WEBP", lossless=True),
    "tiff": encode(SCENE, "TIFF"),
    "lzw tiff": encode(SCENE, "TIFF", compression="tiff_lzw"),
    "avif": encode(SCENE, "AVIF"),
    "jpeg 2000": encode(SCENE, "JPEG2000", irreversible=True, quality_layers=[40, 10]),
    "bmp": encode(SCENE, "BMP"),
    "ppm": encode(SCENE, "PPM"),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_photo_is_turned_upright(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turn = STORED[orientation]
    stored = SCENE if turn is None else SCENE.transpose(turn)
    upright = load(encode(stored, file_format, exif=exif, quality=95))
    assert upright.shape == (64, 96, 3)
    assert np.abs(upright - np.asarray(SCENE)).mean() < 6
    assert np.abs(upright[::-1] - np.asarray(SCENE)).mean() > 50
    assert np.abs(upright[:, ::-1] - np.asarray(SCENE)).mean() > 50


@pytest.mark.parametrize("orientation", STORED)
def test_a_scaled_decode_is_turned_upright_too(orientation: int) -> None:
    scene = draw_scene(480, 320)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turn = STORED[orientation]
    stored = scene if turn is None else scene.transpose(turn)
    pixels = load_pixels(BytesIO(encode(stored, "JPEG", exif=exif)), 16, "squish").astype(int)
    assert np.abs(pixels - resize_photo(scene, 16, "squish")).mean() < 6


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert np.abs(load(encode(SCENE, "PNG", exif=exif)) - np.asarray(SCENE)).max() == 0


def test_broken_metadata_does_not_cost_the_photo() -> None:
    whole = encode(SCENE, "JPEG", exif=ORIENTED)
    start = whole.index(b"Exif\0\0") + 6
    for junk in (b"\xff" * 12, b"MM\0*\xff\xff\xff\xff\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff\x12\x01"):
        assert load(whole[:start] + junk + whole[start + 12 :]).shape[2] == 3


@given(width=st.integers(1, 400), height=st.integers(1, 400), at_least=st.integers(1, 100))
@settings(deadline=None, max_examples=60)
def test_a_scaled_decode_is_never_smaller_than_asked_for(width: int, height: int, at_least: int) -> None:
    full = Image.new("RGB", (width, height), "brown")
    image = load_photo(BytesIO(encode(full, "JPEG")), at_least)
    for side, original in zip(image.size, full.size, strict=True):
        assert min(at_least, original) <= side <= original


def test_a_large_jpeg_is_decoded_smaller() -> None:
    data = encode(draw_scene(1600, 1200), "JPEG")
    assert load_photo(BytesIO(data)).size == (1600, 1200)
    assert load_photo(BytesIO(data), 128).size == (200, 150)


@pytest.mark.parametrize("size", [(1100, 800), (513, 1400), (300, 220), (70, 40), (9, 9)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_photos_look_is_the_same_at_every_size_that_it_is_decoded_at(size: tuple[int, int], file_format: str) -> None:
    for options in ({}, {"progressive": True}) if file_format == "JPEG" else ({},):
        data = encode(draw_scene(*size), file_format, **options)
        looks = [take_look(data, load_photo(BytesIO(data), at_least)) for at_least in (None, 8, 32, 64, 128, 224, 700)]
        assert looks[0].shape == (16, 17)
        assert all((look == looks[0]).all() for look in looks)
    left, right = looks[0][:6, :8], looks[0][:6, 9:]
    assert left.mean() > right.mean() + 30, "it shows the photo"


def test_cmyk_becomes_the_colours_it_prints() -> None:
    colours = {"red": (255, 0, 0), "white": (255, 255, 255), "black": (0, 0, 0), "lime": (0, 255, 0)}
    for name, colour in colours.items():
        data = encode(Image.new("RGB", (16, 16), name).convert("CMYK"), "JPEG", quality=95)
        assert np.abs(load(data) - colour).max() < 12


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian tiff", "pgm", "float tiff", "float tiff of 0-255"])
def test_more_than_eight_bits_are_scaled_and_not_clipped(kind: str) -> None:
    if kind in ("png", "tiff"):
        data = encode(Image.fromarray(RAMP), kind.upper())
    elif kind == "big-endian tiff":
        image = Image.frombytes("I;16B", (32, 8), RAMP.astype(">u2").tobytes())
        data = encode(image, "TIFF")
    elif kind == "pgm":
        data = b"P5 32 8 65535\n" + RAMP.astype(">u2").tobytes()
    else:
        top = 1 if kind == "float tiff" else 255
        data = encode(Image.fromarray((RAMP / 65535 * top).astype(np.float32)), "TIFF")
    pixels = load(data)
    assert pixels.shape == (8, 32, 3)
    assert np.abs(pixels - (RAMP / 257)[..., None]).max() <= 1


def test_measurements_without_a_usual_range_are_stretched() -> None:
    values = np.linspace(-3000, 90000, 256, dtype=np.float32).reshape(8, 32)
    values[0, 0] = np.nan
    pixels = load(encode(Image.fromarray(values), "TIFF"))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_sixteen_bit_colour_keeps_its_colours() -> None:
    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 4
    assert load(write_png(4, 4, 16, 2, row * 4))[2, 2].tolist() == [255, 128, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_and_palette_photos_become_rgb(mode: str) -> None:
    assert np.abs(load(encode(Image.new("RGB", (9, 5), "white").convert(mode), "PNG")) - 255).max() == 0


def test_what_is_transparent_becomes_white() -> None:
    hidden = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    hidden.paste((0, 0, 255, 255), (0, 0, 4, 8))
    hidden.paste((0, 0, 0, 128), (0, 0, 1, 1))
    for file_format in ("PNG", "TIFF", "WEBP"):
        pixels = load(encode(hidden, file_format, lossless=True))
        assert pixels[4, 6].tolist() == [255, 255, 255]
        assert pixels[4, 2].tolist() == [0, 0, 255]
        assert pixels[0, 0].tolist() == [127, 127, 127]


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 4, 8))
    for file_format in ("PNG", "GIF"):
        pixels = load(encode(image, file_format, transparency=0))
        assert pixels[4, 1].tolist() == [255, 255, 255]
        assert pixels[4, 6].tolist() == [0, 0, 255]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF"])
def test_of_several_frames_it_is_the_first(file_format: str) -> None:
    others = [Image.new("RGB", SCENE.size, colour) for colour in ("white", "black")]
    pixels = load(encode(SCENE, file_format, save_all=True, append_images=others))
    assert np.abs(pixels - np.asarray(SCENE)).mean() < 12


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    for name, data in PHOTOS.items():
        for suffix in (".jpg", ".png", ".txt"):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(data)
            assert load_photo(path).mode == "RGB"


def test_documents_are_no_photos() -> None:
    assert reason_for(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n") == "not a picture"
    assert reason_for(b"%PDF-1.7\n") == "not a picture"
    assert reason_for(b"GPS,48.1,11.5\n") == "not a picture"
    assert reason_for(b"\0" * 5000) == "not a picture"


def test_every_reason_is_one_a_person_understands(tmp_path: Path) -> None:
    assert reason_for(b"") == "empty file"
    assert reason_for(PHOTOS["jpeg"][:-100]) == "file is truncated"
    assert reason_for(PHOTOS["png"][:60]) == "file is truncated"
    assert reason_for(PHOTOS["jpeg"][:40]) == "file is damaged"
    assert "save it as JPEG" in reason_for(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50)
    assert "Lab" in reason_for(encode(Image.new("LAB", (8, 8)), "TIFF"))
    for path, reason in [
        (tmp_path / "none.jpg", "file not found"),
        (tmp_path, "a folder without photos, or one that can't be listed"),
        (tmp_path / ("x" * 300), "file name too long"),
        (tmp_path / "a\0b", "not a file name"),
    ]:
        with pytest.raises(PhotoError, match=f"^{reason}$"):
            load_photo(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="not a file"):
        load_photo(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read everything")
def test_a_photo_without_permission_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(PHOTOS["jpeg"])
    path.chmod(0)
    with pytest.raises(PhotoError, match="permission denied"):
        load_photo(path)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (50_000, 50_000, "too large: more than 200 megapixels"),
        (20_001, 10_000, "too large: 20001x10000 px, more than 200 megapixels"),
        (20_000, 10_000, "too large: 20000x10000 px, more than max_megapixels = 50"),
        (10_000, 5_000, "file is truncated"),
    ],
)
def test_a_decompression_bomb_is_refused(width: int, height: int, reason: str) -> None:
    assert reason_for(write_png(width, height, 1, 0, b"\0" * 100)) == reason


def test_a_side_is_bounded_as_well() -> None:
    assert reason_for(write_png(1, 65_536, 1, 0, b"\0" * 100)) == "too large: 1x65536 px, a side of more than 65,535"
    assert reason_for(write_png(65_535, 1, 1, 0, b"\0" * 100)) == "file is truncated"


def test_the_largest_photo_is_a_setting() -> None:
    data = encode(draw_scene(1200, 1000), "PNG")
    with pytest.raises(PhotoError, match=r"^too large: 1200x1000 px, more than max_megapixels = 1$"):
        load_photo(BytesIO(data), max_megapixels=1)
    with pytest.raises(PhotoError, match="max_megapixels = 1"):
        load_pixels(BytesIO(data), 64, "squish", max_megapixels=1)
    assert load_photo(BytesIO(data), max_megapixels=2).size == (1200, 1000)


def test_of_a_jpeg_the_pixels_that_are_decoded_count_but_of_a_progressive_one_all() -> None:
    data = encode(draw_scene(2400, 1600), "JPEG")
    assert load_photo(BytesIO(data), 128, max_megapixels=1).size == (300, 200)
    for whole in (None, 1500):
        with pytest.raises(PhotoError, match="2400x1600 px, more than max_megapixels = 1"):
            load_photo(BytesIO(data), whole, max_megapixels=1)
    progressive = encode(draw_scene(2400, 1600), "JPEG", progressive=True)
    with pytest.raises(PhotoError, match="2400x1600 px, more than max_megapixels = 1"):
        load_photo(BytesIO(progressive), 128, max_megapixels=1)
    assert load_photo(BytesIO(progressive), 128, max_megapixels=4).size == (300, 200)


@pytest.mark.parametrize(
    "data",
    [
        bombs.webp(16383, 12000),
        bombs.png(1, 1),
        bombs.float_tiff(1, 1),
        bombs.progressive_jpeg(14000, 14000, 3),
        bombs.large_jpeg(14000, 14000),
        bombs.large_jpeg(14000, 15000),
    ],
    ids=["webp", "png", "tiff", "progressive jpeg", "whole jpeg", "jpeg of 210 megapixels"],
)
def test_bombs_are_refused_by_their_heads(data: bytes) -> None:
    if data.startswith(b"\x89PNG"):
        data = data.replace(struct.pack(">II", 1, 1), struct.pack(">II", 1, 199_999_999), 1)
        head = data[12:29]
        data = data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    if data.startswith(b"II"):
        data = data.replace(struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 100_000_000), 1)
    assert reason_for(data).startswith("too large: ")


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "1", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("size", [(3, 1_500_000), (1_500_000, 3), (1, 1)])
def test_large_pictures_are_converted_in_parts_without_a_seam(mode: str, size: tuple[int, int]) -> None:
    part = draw_scene(48, 48).convert("L")
    image = Image.new("L", size, 77)
    image.paste(part, (0, size[1] - 20))
    image.paste(part, (size[0] - 2, 0))
    if mode == "RGBA":
        image = Image.merge("RGBA", [image, image, image, image])
        expected = Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert("RGB")
    elif mode in ("I;16", "I", "F"):
        expected = image.convert("RGB")
        values = np.asarray(image).astype(np.float32)
        image = Image.fromarray(
            {"I;16": values * 257, "I": values * 257, "F": values / 255}[mode].astype(
                {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
            )
        )
        assert image.mode == mode
    else:
        image = image.convert(mode)
        expected = image.convert("RGB")
    difference = np.abs(np.asarray(to_rgb(image)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1 if mode in ("I", "F") else difference.max() == 0


@pytest.mark.slow  # decodes 150 megapixels
def test_a_panorama_of_150_megapixels_is_a_photo() -> None:
    data = encode(Image.new("L", (30_000, 5_000), 90), "JPEG")
    assert load_photo(BytesIO(data), 128).size == (3750, 625)
    for resize in ("squish", "crop"):
        assert np.abs(load_pixels(BytesIO(data), 64, resize).astype(int) - 90).max() <= 1


def test_a_jpeg_whose_rest_the_card_lost_is_truncated() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", exif=ORIENTED, quality=95)
    lost = data[: len(data) // 2].ljust(len(data), b"\0")
    Image.open(BytesIO(lost)).load()  # Pillow sees nothing wrong in it
    assert reason_for(lost) == "file is truncated"


@pytest.mark.parametrize("name", PHOTOS)
def test_a_cut_file_gives_the_whole_picture_or_none(name: str) -> None:
    data = PHOTOS[name]
    whole = load(data)
    for length in {*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 15, len(data)), 228}:
        try:
            cut = load(data[:length])
        except PhotoError:
            continue
        assert cut.shape == whole.shape
        assert (cut == whole).all()


@given(
    name=st.sampled_from(sorted(PHOTOS)),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=5), st.integers(0, 9)), max_size=6),
    in_header=st.booleans(),
    at_least=st.sampled_from([None, 8]),
)
@settings(deadline=None, max_examples=250)
def test_any_bytes_give_a_picture_or_a_reason(
    name: str, changes: list[tuple[int, bytes, int]], in_header: bool, at_least: int | None
) -> None:
    data = PHOTOS[name]
    for place, inserted, removed in changes:
        place %= 200 if in_header else len(data) + 1
        data = data[:place] + inserted + data[place + removed :]
    try:
        pixels = load_pixels(BytesIO(data), 8, "squish") if at_least else load(data)
        assert pixels.ndim == 3 and pixels.shape[2] == 3
    except PhotoError as error:
        assert 0 < len(str(error)) < 80


def test_photos_are_read_in_threads_without_warnings() -> None:
    data = encode(SCENE, "JPEG", exif=ORIENTED)
    start = data.index(b"Exif\0\0") + 6
    odd = data[:start] + b"II*\0\x08\0\0\0\xff\xff" + data[start + 10 :]  # Pillow warns of such metadata
    with ThreadPoolExecutor(8) as executor:
        sizes = {image.size for image in executor.map(lambda _: load_photo(BytesIO(odd)), range(64))}
    assert len(sizes) == 1


@given(
    width=st.sampled_from([1, 2, 3, 50, 333, 10_000]),
    height=st.sampled_from([1, 2, 5, 64, 1000]),
    size=st.integers(1, 64),
    resize=st.sampled_from(["squish", "crop", "pad"]),
)
@settings(deadline=None, max_examples=80)
def test_every_shape_fits_into_the_square(width: int, height: int, size: int, resize: Any) -> None:
    pixels = resize_photo(Image.new("RGB", (width, height), (200, 10, 10)), size, resize)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    if resize != "pad":
        assert np.abs(pixels.astype(int) - (200, 10, 10)).max() <= 2  # thousandfold shrinking rounds


def draw_frame() -> Image.Image:
    frame = Image.new("RGB", (200, 100), "green")
    frame.paste("red", (0, 0, 40, 100))
    frame.paste("blue", (160, 0, 200, 100))
    return frame


def test_squish_keeps_the_whole_frame() -> None:
    pixels = resize_photo(draw_frame(), 50, "squish")
    assert [pixels[25, x].argmax() for x in (1, 25, 48)] == [0, 1, 2]


def test_crop_takes_the_middle() -> None:
    pixels = resize_photo(draw_frame(), 50, "crop")
    assert (pixels.argmax(axis=2) == 1).all()


def test_pad_keeps_the_shape_between_grey_bars() -> None:
    pixels = resize_photo(draw_frame(), 48, "pad")
    assert (pixels[[0, 11, 36, 47]] == 128).all()
    assert [pixels[24, x].argmax() for x in (1, 24, 46)] == [0, 1, 2]
    assert (pixels[13] != 128).any(axis=1).all()


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_photos_are_found_sorted_at_any_depth_and_hidden_ones_are_not(tmp_path: Path) -> None:
    wanted = [
        touch(tmp_path / name) for name in ["a/1.jpg", "a/b/c/2.JPEG", "a/d.Png", "e.webp", "f/3.TIF", "f/4.heic"]
    ]
    for name in ["a/.hidden.jpg", ".git/5.jpg", "a/notes.txt", "f/Thumbs.db", "jpg"]:
        touch(tmp_path / name)
    assert list(find_photos(tmp_path)) == wanted
    assert wanted == sorted(wanted, key=lambda path: path.parts)


def test_a_linked_folder_is_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    photo = touch(tmp_path / "real" / "1.jpg")
    elsewhere = touch(tmp_path.parent / f"{tmp_path.name}-elsewhere" / "2.jpg")
    try:
        (tmp_path / "real" / "again").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "zoo").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "other").symlink_to(elsewhere.parent, target_is_directory=True)
        (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("this system allows no links")
    lost = tmp_path / "lost.jpg"
    assert list(find_photos(tmp_path)) == [lost, tmp_path / "other" / "2.jpg", photo]
    by_every_link = [lost, tmp_path / "other" / "2.jpg", photo, tmp_path / "zoo" / "1.jpg"]
    assert list(find_photos(tmp_path, every_link=True)) == by_every_link
    with pytest.raises(PhotoError, match="file not found"):
        load_photo(lost)


def test_links_that_double_at_each_level_give_each_photo_once(tmp_path: Path) -> None:
    for level in range(14):
        (tmp_path / f"{level}").mkdir()
        for link in ("a", "b"):
            (tmp_path / f"{level}" / link).symlink_to(tmp_path / f"{level + 1}", target_is_directory=True)
    photo = touch(tmp_path / "14" / "1.jpg")
    assert [path.resolve() for path in find_photos(tmp_path / "0")] == [photo]


def test_names_that_were_taken_leave_the_memory(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / f"{number}.jpg").touch()
    photos = find_photos(tmp_path)
    tracemalloc.start()
    try:
        next(photos)
        whole = tracemalloc.get_traced_memory()[0]
        for _ in range(1_900):
            next(photos)
        rest = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert rest < 0.5 * whole


@pytest.mark.slow  # makes thousands of folders
def test_folders_may_be_nested_deeper_than_python_recurses(tmp_path: Path) -> None:
    with nest_folders(tmp_path, 1500) as innermost:
        photo = touch(innermost / "1.jpg")
        assert list(find_photos(tmp_path)) == list(find_photos(tmp_path, every_link=True)) == [photo]


def test_a_folder_that_does_not_exist_comes_out_itself(tmp_path: Path) -> None:
    assert list(find_photos(tmp_path / "none")) == [tmp_path / "none"]


@pytest.mark.skipif(not (SHARED / "data/orientation").is_dir(), reason="the shared photos are not here")
@pytest.mark.parametrize("scene", ["Landscape", "Portrait"])
def test_real_photos_of_one_scene_look_alike_in_every_orientation(scene: str) -> None:
    photos = [path for path in find_photos(SHARED / "data/orientation") if scene in path.name]
    assert len(photos) >= 8
    first, *others = [load_pixels(path, 64, "squish").astype(int) for path in photos]
    for other in others:
        assert np.abs(first - other).mean() < 6  # a number in the middle tells them apart
        assert np.abs(first - other[:, ::-1]).mean() > 12


@pytest.mark.skipif(not (SHARED / "data/odd").is_dir(), reason="the shared photos are not here")
def test_real_files_that_break_programs_give_a_picture_or_a_reason() -> None:
    reasons = {}
    for path in find_photos(SHARED / "data/odd"):
        try:
            assert load_pixels(path, 64, "squish").shape == (64, 64, 3)
        except PhotoError as error:
            reasons[path.name] = str(error)
    assert reasons == {
        "kangaroo__00090.jpg": "file is truncated",
        "pillow__broken.png": "file is truncated",
        "pillow__decompression_bomb.gif": "too large: more than 200 megapixels",
    }


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may list everything")
def test_a_folder_below_that_can_not_be_listed_comes_out_itself(tmp_path: Path) -> None:
    for name in ("a", "locked", "z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_bytes(b"")
    (tmp_path / "locked").chmod(0)
    try:
        assert list(find_photos(tmp_path)) == [
            tmp_path / "a" / "photo.jpg",
            tmp_path / "locked",
            tmp_path / "z" / "photo.jpg",
        ]
    finally:
        (tmp_path / "locked").chmod(0o755)


def test_a_package_that_has_pillow_read_half_files_changes_nothing(tmp_path, monkeypatch):
    photo = tmp_path / "half.png"
    Image.effect_noise((64, 64), 50).save(photo)
    photo.write_bytes(photo.read_bytes()[:1000])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(PhotoError, match="truncated"):
        load_photo(photo)
