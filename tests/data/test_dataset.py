import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bearcnn.config import DataConfig
from bearcnn.data.cache_folder import list_caches
from bearcnn.data.dataset import Dataset
from bearcnn.data.loading import load_record
from bearcnn.errors import DataError
from tests.helpers.folders import fill, paint, where


def test_the_pixels_belong_to_the_examples(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 5, "wolf": 5}))
    for example in dataset.examples:
        with Image.open(example.path) as image:
            assert tuple(dataset.pixels[example.row, 3, 3]) == image.getpixel((3, 3))


def read(dataset: Dataset, cache: Path, **options: Any) -> Dataset:
    record = json.loads(json.dumps(dataset.to_json()))
    return load_record(Dataset, record, image_size=8, resize="squish", cache_root=cache, **options)


def test_a_written_data_set_is_found_again(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear/brown": 6, "wolf": 6})
    (root / "bear" / "brown" / "broken.png").write_bytes(b"")
    dataset = load(root)
    again = read(dataset, tmp_path / "cache")
    assert again == dataset
    assert (again.pixels == dataset.pixels).all()
    assert len(list_caches(tmp_path / "cache")) == 1
    test = read(dataset, tmp_path / "cache", splits=["test"])
    assert test.examples == dataset.select("test")
    assert len(list_caches(tmp_path / "cache")) == 1


def test_a_moved_data_set_is_found_again(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 6, "wolf": 6}))
    moved = (tmp_path / "data").rename(tmp_path / "moved")
    again = read(dataset, tmp_path / "cache", root=moved)
    assert where(again) == where(dataset)
    for example, before in zip(again.examples, dataset.examples, strict=True):
        assert (again.pixels[example.row] == dataset.pixels[before.row]).all()


def test_a_written_photo_that_is_missing_or_changed_is_an_error(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 6, "wolf": 6}))
    cache = tmp_path / "cache"
    paint(dataset.select("train")[0].path, 5000)
    assert read(dataset, cache, splits=["test"]).examples == dataset.select("test")
    paint(dataset.select("test")[0].path, 5001)
    with pytest.raises(DataError, match="has changed since training"):
        read(dataset, cache, splits=["test"])
    dataset.select("valid")[0].path.unlink()
    with pytest.raises(DataError, match="is missing"):
        read(dataset, cache, splits=["valid"])


@pytest.mark.parametrize("record", [{}, {"examples": 3}, {"root": "x", "examples": [{"path": "a"}], "skipped": []}])
def test_a_damaged_record_is_an_error(record: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged"):
        Dataset.from_record(record, DataConfig(path="somewhere"))


def test_a_configurations_photos_are_found_again_from_their_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    config = DataConfig(path=str(fill(tmp_path / "data", {"bear": 9, "wolf": 9})), image_size=8)
    told: list[tuple[int, int]] = []
    dataset = Dataset.from_config(config, on_progress=lambda *step: told.append(step))
    assert told[-1] == (18, 18)
    assert dataset == Dataset.from_folder(config.path, image_size=8)
    assert Dataset.from_record(json.loads(json.dumps(dataset.to_json())), config) == dataset


def test_a_folder_without_splits_is_all_test_for_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARCNN_CACHE", str(tmp_path / "cache"))
    root = fill(tmp_path / "data", {"bear": 2, "wolf": 2})
    dataset = Dataset.for_evaluation(root, DataConfig(image_size=8))
    assert {example.split for example in dataset.examples} == {dataset.evaluation_split()} == {"test"}
    given = fill(tmp_path / "given", {"train/bear": 2, "train/wolf": 2, "valid/bear": 2, "valid/wolf": 2})
    assert Dataset.for_evaluation(given, DataConfig(image_size=8)).evaluation_split() == "valid"
