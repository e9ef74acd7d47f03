"""A collection with a fault of each kind, and what checks find in it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from bearcnn.checks.collection import Collection, read_collection
from bearcnn.config import load_config
from bearcnn.data.synthetic.scene import draw_scene

SIZE = 96


def draw(index: int, is_bear: bool) -> Image.Image:
    return draw_scene(5, index, size=SIZE, is_bear=is_bear).image


def fill(root: Path, count: int, start: int = 0) -> list[Path]:
    """So many scenes in train/ and a third of them in valid/, bears and others in turn; none like another."""
    paths = []
    for index in range(start, start + count):
        split = "valid" if index % 6 < 2 else "train"
        path = root / split / ("bear" if index % 2 == 0 else "fox") / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(index, index % 2 == 0).save(path)
        paths.append(path)
    return paths


def save_smaller(photo: Path, copy: Path) -> None:
    """Save a photo again, as somebody who sends it does."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    Image.open(photo).resize((72, 72)).save(copy, "JPEG", quality=85)


def save_with_time(photo: Path, time: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = time
    Image.open(photo).convert("RGB").save(photo, exif=exif)


@pytest.fixture
def collect(tmp_path) -> Callable[..., Collection]:
    def collect(root: Path, *overrides: str) -> Collection:
        config = load_config(None, [f"data.path={root}", "data.image_size=64", *overrides])
        return read_collection(config, now=datetime(2026, 7, 1))

    return collect


@pytest.fixture(scope="session")
def messy(tmp_path_factory) -> Path:
    """A collection with faults; look at it, don't change it."""
    root = tmp_path_factory.mktemp("messy") / "photos"
    scenes = fill(root, 30)
    train = [path for path in scenes if "train" in path.parts]
    bears = [path for path in train if path.parent.name == "bear"]
    foxes = [path for path in train if path.parent.name == "fox"]

    content = foxes[0].read_bytes()
    foxes[0].write_bytes(content[: len(content) // 2])  # truncated
    (root / "train/fox/page.jpg").write_text("<html>not found</html>")
    (root / "valid/bear/copy.png").write_bytes(bears[0].read_bytes())  # across splits
    (root / "train/bear/twice.png").write_bytes(bears[1].read_bytes())
    (root / "train/fox/contradiction.png").write_bytes(bears[2].read_bytes())
    save_smaller(bears[3], root / "train/fox/smaller.jpg")  # another label
    save_smaller(bears[4], root / "valid/bear/smaller.jpg")  # another split
    save_smaller(foxes[1], root / "train/fox/again.jpg")
    Image.new("RGB", (90, 80), "black").save(root / "train/bear/black.png")
    Image.new("RGB", (90, 80), (90, 140, 90)).save(root / "train/bear/blank.png")
    dark = np.asarray(draw(200, True)) // 8
    Image.fromarray(dark).save(root / "train/bear/dark.png")
    bright = (205 + np.asarray(draw(201, False)) // 6).astype(np.uint8)
    Image.fromarray(bright).save(root / "train/fox/bright.png")
    draw(202, True).resize((40, 40)).save(root / "train/bear/tiny.png")
    draw(203, False).save(root / "train/fox/webp.jpg", "WEBP")
    draw(204, True).save(root / "outside.png")
    for index, time in enumerate(
        (
            "0000:00:00 00:00:00",
            "2027:01:02 03:04:05",
            "1970:01:01 05:00:00",
            "2015:01:01 00:07:00",
            "2024:05:06 07:08:09",
        )
    ):
        photo = root / "train/bear" / f"time{index}.jpg"
        draw(300 + index, True).save(photo)
        save_with_time(photo, time)
    return root


@pytest.fixture(scope="session")
def messy_collection(messy) -> Collection:
    return read_collection(load_config(None, [f"data.path={messy}", "data.image_size=64"]), now=datetime(2026, 7, 1))
