"""What photos tell of each other, read once and kept beside their pixels."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from bearcnn.data import related
from bearcnn.data.cache import build_cache
from bearcnn.data.dataset import Dataset
from bearcnn.data.related import find_related
from bearcnn.data.synthetic.scene import draw_scene


def shoot(path: Path, index: int, time: str, shift: int = 0) -> Path:
    """A drawn scene as a camera of that time writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.roll(np.asarray(draw_scene(0, index, size=96, is_bear=False).image), shift, axis=1))
    exif = image.getexif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Reconyx", "HP2X"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = time
    image.save(path, exif=exif)
    return path


def test_time_camera_and_near_copies_are_read_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        shoot(tmp_path / "a.jpg", 0, "2024:05:01 12:00:00"),
        shoot(tmp_path / "b.jpg", 1, "2024:05:02 12:00:00"),
        shoot(tmp_path / "c.jpg", 0, "0000:00:00 00:00:00", shift=1),
    ]
    cache = build_cache(paths, 8, "squish", root=tmp_path / "cache")
    found = find_related(cache, paths)
    assert found.taken == (datetime(2024, 5, 1, 12), datetime(2024, 5, 2, 12), None)
    assert found.camera == ("Reconyx HP2X",) * 3
    assert found.near == (0, 1, 0)
    file = cache.directory / "related.json"
    for content in ("{", "[]", '{"version": 0}', file.read_text().replace('"near": [0', '"near": [')):
        file.write_text(content)
        assert find_related(cache, paths) == found
    monkeypatch.setattr(related, "read_metadata", lambda path: pytest.fail("it was read again"))
    assert find_related(cache, paths) == found


@pytest.mark.slow  # draws 60 scenes
def test_a_cameras_day_is_in_one_split(tmp_path: Path) -> None:
    for index in range(60):
        kind = ("bear", "empty")[index // 10 % 2]
        shoot(tmp_path / "data" / kind / f"{index}.jpg", index, f"2024:05:{index % 10 + 1:02} {index // 10 + 9}:00:00")
    dataset = Dataset.from_folder(tmp_path / "data", image_size=8, cache_root=tmp_path / "cache")
    assert dataset.describe_groups() == "split by camera and day: 10 groups, 6 train / 2 valid / 2 test"
    assert len({(example.taken.date(), example.split) for example in dataset.examples if example.taken}) == 10
