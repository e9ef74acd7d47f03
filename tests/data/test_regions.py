from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bearcnn.config.sections import MOST_TILES
from bearcnn.data.photos import load_photo, load_pixels, load_regions, resize_photo
from bearcnn.data.regions import (
    LONGEST,
    OVERLAP,
    WHOLE,
    WHOLE_FRAME,
    WHOLE_FRAMES,
    Crop,
    Crops,
    Region,
    Tiles,
    absolute,
    crop_area,
    least_sides,
    tile_areas,
)

sides = st.integers(1, 6000)
counts = st.integers(1, MOST_TILES)
shares = st.floats(0, 1)


@st.composite
def boxes(draw):
    left, right = sorted((draw(shares), draw(shares)))
    top, bottom = sorted((draw(shares), draw(shares)))
    return left, top, right, bottom


def contains(outer, inner, slack=1e-9):
    return (
        outer[0] <= inner[0] + slack
        and outer[1] <= inner[1] + slack
        and outer[2] >= inner[2] - slack
        and outer[3] >= inner[3] - slack
    )


# Tiles


@settings(max_examples=40)
@given(sides, sides, counts)
def test_tiles_cover_the_photo_and_stay_in_it(width, height, count):
    areas = tile_areas(width, height, count)
    assume(areas)
    assert all(contains(WHOLE, area, 0) and area[0] < area[2] and area[1] < area[3] for area in areas)
    for low, high in ((0, 2), (1, 3)):
        spans = sorted({(area[low], area[high]) for area in areas})
        assert spans[0][0] == 0
        assert spans[-1][1] == 1
        assert all(after[0] < before[1] for before, after in pairwise(spans))
    columns, rows = ({(area[low], area[high]) for area in areas} for low, high in ((0, 2), (1, 3)))
    assert len(areas) == len(set(areas)) == len(columns) * len(rows)  # every place of the grid
    assert min(len(columns), len(rows)) == count


@settings(max_examples=40)
@given(sides, sides, counts)
def test_tiles_are_square_but_in_panoramas(width, height, count):
    for left, top, right, bottom in tile_areas(width, height, count):
        ratio = (right - left) * width / ((bottom - top) * height)
        if max(width, height) <= LONGEST * min(width, height):
            assert ratio == pytest.approx(1, rel=1e-6)
        else:
            assert ratio >= 1 - 1e-6 if width > height else ratio <= 1 + 1e-6


@settings(max_examples=40)
@given(sides, sides, counts, shares, shares, st.floats(0, 1), st.floats(0, 1))
def test_an_animal_of_the_overlaps_size_is_whole_in_some_tile(width, height, count, x, y, wide, high):
    areas = tile_areas(width, height, count)
    assume(areas)
    tile = areas[0]
    wide, high = wide * OVERLAP * (tile[2] - tile[0]), high * OVERLAP * (tile[3] - tile[1])
    left, top = x * (1 - wide), y * (1 - high)
    assert any(contains(area, (left, top, left + wide, top + high)) for area in areas)


def test_usual_photos_have_the_tiles_that_one_expects():
    assert [len(tile_areas(*size, 2)) for size in ((100, 100), (400, 300), (1920, 1080), (1080, 1920))] == [4, 6, 8, 8]
    assert [len(tile_areas(*size, 1)) for size in ((100, 100), (400, 300), (1920, 1080))] == [0, 2, 3]
    assert tile_areas(300, 300, 2)[0] == pytest.approx((0, 0, 0.6, 0.6))


@settings(max_examples=40)
@given(sides, sides, counts)
def test_no_photo_has_more_pictures_than_memory_is_kept_for(width, height, count):
    regions = Tiles(count)
    found = regions.of(Path("a.jpg"))(width, height)
    assert found[0] == WHOLE_FRAME
    assert len(found) <= regions.most
    assert all(region.box == region.area for region in found[1:])


# Crops


@settings(max_examples=40)
@given(boxes(), sides, sides, st.floats(0, 2))
def test_a_crop_contains_the_box_and_stays_in_the_photo(box, width, height, padding):
    area = crop_area(box, width, height, padding)
    assert contains(WHOLE, area, 0)
    assert contains(area, box, 0)
    assert area[0] < area[2]
    assert area[1] < area[3]


@settings(max_examples=40)
@given(boxes(), st.integers(50, 5000), st.integers(50, 5000), st.floats(0, 2))
def test_a_crop_is_square_where_the_animal_fits_into_a_square(box, width, height, padding):
    left, top, right, bottom = box
    longer = max((right - left) * width, (bottom - top) * height)
    assume(1 <= longer <= min(width, height))
    area = crop_area(box, width, height, padding)
    wide, high = (area[2] - area[0]) * width, (area[3] - area[1]) * height
    assert wide == pytest.approx(high, rel=1e-6)
    assert wide >= min(longer * (1 + 2 * padding), width, height) * (1 - 1e-6)


def test_padding_is_a_share_of_the_longer_side_and_moves_inside_at_the_edge():
    assert crop_area((0.4, 0.45, 0.6, 0.55), 1000, 1000, 0.25) == pytest.approx((0.35, 0.35, 0.65, 0.65))
    assert crop_area((0.9, 0.0, 1.0, 0.1), 1000, 500, 0.5) == pytest.approx((0.8, 0.0, 1.0, 0.4))
    assert crop_area((0.0, 0.4, 1.0, 0.6), 1000, 100, 0.5) == (0, 0, 1, 1)


def test_a_photo_is_its_animals_or_else_its_whole_frame():
    first, second = (0.1, 0.1, 0.3, 0.3), (0.5, 0.5, 0.6, 0.6)
    crops = Crops({absolute("two.jpg"): (first, second), absolute("none.jpg"): (), absolute("failed.jpg"): None}, 0.0)
    assert [region.box for region in crops.of(Path("two.jpg"))(100, 100)] == [first, second]
    assert crops.surest(Path("sub/../two.jpg")) == Crop(*first, 0.0)
    assert crops.most == 2
    for name in ("none.jpg", "failed.jpg", "unknown.jpg"):
        assert crops.surest(Path(name)) is None
        assert list(crops.of(Path(name))(100, 100)) == [WHOLE_FRAME]
    negative = Crops(crops.boxes, 0.0, "negative")
    assert list(negative.of(Path("none.jpg"))(100, 100)) == []
    for name in ("failed.jpg", "unknown.jpg"):  # of these the detector has said nothing
        assert list(negative.of(Path(name))(100, 100)) == [WHOLE_FRAME]


# Pixels


def save_noise(path: Path, width: int, height: int, orientation: int = 1) -> Path:
    """A photo whose every corner is another colour; it is stored turned by `orientation`."""
    small = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if orientation == 6:
        image = image.transpose(Image.Transpose.ROTATE_90)
    image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("resize", ["squish", "crop", "pad"])
def test_the_whole_frame_has_the_same_pixels_as_ever(tmp_path, name, resize):
    photo = save_noise(tmp_path / name, 640, 410)
    ((region, pixels),) = load_regions(photo, WHOLE_FRAMES.of(photo), 32, resize)
    assert region == WHOLE_FRAME
    assert (pixels == load_pixels(photo, 32, resize)).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_an_area_is_of_the_upright_photo_in_its_full_sharpness(tmp_path, name, orientation):
    photo = save_noise(tmp_path / name, 800, 600, orientation)
    area = (0.6, 0.1, 0.85, 0.35)
    seen = []

    def find(width, height):
        seen.append((width, height))
        return [Region(area, None), WHOLE_FRAME]

    (_, pixels), (_, whole) = load_regions(photo, find, 64, "squish")
    assert set(seen) == {(800, 600)}  # however much smaller a JPEG is decoded
    upright = load_photo(photo)
    expected = np.asarray(upright.crop((480, 60, 680, 210)).resize((64, 64), Image.Resampling.BICUBIC))
    assert np.abs(pixels.astype(int) - expected).mean() < 4
    assert np.abs(whole.astype(int) - resize_photo(upright, 64, "squish")).mean() < 4


@settings(max_examples=40)
@given(st.lists(boxes().filter(lambda box: box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01), max_size=4))
def test_a_photo_is_decoded_large_enough_for_its_smallest_area(areas):
    width, height = least_sides(areas, 32)
    assert min(width, height) >= 32
    for left, top, right, bottom in areas:
        assert (right - left) * width >= 32 - 1e-6
        assert (bottom - top) * height >= 32 - 1e-6
    assert least_sides([WHOLE], 32) == (32, 32)


def test_an_area_is_not_cut_further(tmp_path):
    image = load_photo(save_noise(tmp_path / "a.png", 200, 100))
    wide = (0.0, 0.0, 1.0, 0.5)
    assert (resize_photo(image, 16, "crop", wide) == resize_photo(image, 16, "squish", wide)).all()
    padded = resize_photo(image, 16, "pad", wide)
    assert (padded[:6] == 128).all()
    assert not (padded[6:10] == 128).all()
