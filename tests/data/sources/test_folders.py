import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bearcnn.data.dataset import Dataset
from bearcnn.data.loading import load_record
from bearcnn.errors import DataError
from tests.helpers.folders import fill, paint, where
from tests.helpers.places import SHARED


def test_labels_and_subclasses_come_from_the_folders(tmp_path: Path, load: Any) -> None:
    root = fill(
        tmp_path / "data",
        {
            "bear": 3,
            "Bear/brown/site1": 3,
            "north/BEAR/polar": 3,
            "not_bear": 3,
            "not_bear/wolf": 3,
            "wolf/site3": 3,
            "Not Bear/other/fox/den": 3,
            "teddy bear": 3,
            "others": 3,
        },
    )
    dataset = load(root)
    found = {
        example.path.parent.relative_to(root).as_posix(): (example.label, example.subclass)
        for example in dataset.examples
    }
    assert found == {
        "bear": (1, "bear"),
        "Bear/brown/site1": (1, "brown"),
        "north/BEAR/polar": (1, "polar"),
        "not_bear": (0, "not_bear"),
        "not_bear/wolf": (0, "wolf"),
        "wolf/site3": (0, "wolf"),
        "Not Bear/other/fox/den": (0, "fox"),
        "teddy bear": (0, "teddy bear"),
        "others": (0, "others"),
    }
    assert dataset.classes == ("not_bear", "bear")
    assert dataset.skipped == ()


def test_several_folders_can_be_positive(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path, {"a/Grizzly": 4, "a/black": 4, "a/teddy": 4})
    dataset = load(root, positive=["grizzly", "black"])
    assert {(example.label, example.subclass) for example in dataset.examples} == {
        (1, "grizzly"),
        (1, "black"),
        (0, "teddy"),
    }
    assert dataset.classes == ("not_grizzly", "grizzly")


def test_given_splits_are_kept(tmp_path: Path, load: Any) -> None:
    root = fill(
        tmp_path / "data",
        {f"{split}/{name}": 4 for split in ("Training", "val", "TEST") for name in ("bear", "not_bear/wolf")},
    )
    dataset = load(root)
    assert {(name.split("/")[0], split) for name, split in where(dataset).items()} == {
        ("Training", "train"),
        ("val", "valid"),
        ("TEST", "test"),
    }
    assert {example.subclass for example in dataset.examples} == {"bear", "wolf"}


def test_a_class_may_be_called_train(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 5, "train": 5, "test/lab": 5}))
    assert {example.subclass for example in dataset.examples} == {"bear", "train", "test"}
    assert set(dataset.counts()) == {"train", "valid", "test"}


def test_a_folder_around_everything_is_looked_through(tmp_path: Path, load: Any) -> None:
    root = fill(
        tmp_path / "data", {f"archive/v2/{split}/{name}": 3 for split in ("train", "val") for name in ("bear", "fox")}
    )
    dataset = load(root)
    assert set(dataset.counts()) == {"train", "valid"}
    assert {example.subclass for example in dataset.examples} == {"bear", "fox"}


def test_photos_that_are_not_used_are_listed_with_the_reason(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"train/bear": 4, "train/wolf": 4, "valid/bear": 2, "valid/wolf": 2, "unsorted": 1})
    paint(root / "cover.png", 900)
    paint(root / "train" / "loose.png", 901)
    (root / "train" / "bear" / "broken.JPG").write_bytes(b"")
    (root / "train" / "bear" / ".hidden.png").write_bytes(b"")
    (root / "train" / "bear" / "notes.txt").write_bytes(b"")
    dataset = load(root)
    assert {photo.path.relative_to(root).as_posix(): photo.reason for photo in dataset.skipped} == {
        "cover.png": "outside the folders train, valid and test",
        "unsorted/0.png": "outside the folders train, valid and test",
        "train/loose.png": "not in a class folder",
        "train/bear/broken.JPG": "empty file",
    }
    assert len(dataset.examples) == 12


def test_a_folder_that_cannot_be_used_says_what_where_and_how(tmp_path: Path, load: Any) -> None:
    def message(root: Path, **options: Any) -> str:
        with pytest.raises(DataError) as error:
            load(root, **options)
        assert "\n" not in str(error.value)
        assert str(root) in str(error.value)
        return str(error.value)

    assert "there is no folder" in message(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    assert "is a file" in message(tmp_path / "file")
    (tmp_path / "empty" / "bear").mkdir(parents=True)
    assert "no photo" in message(tmp_path / "empty")
    assert "in no class folders" in message(fill(tmp_path / "flat", {".": 3}))
    assert "others are needed" in message(fill(tmp_path / "only", {"bear": 3}))

    bears = message(fill(tmp_path / "spelled", {"bears": 3, "wolf": 3, "not_bears": 3}))
    assert 'data.positive=["bears"]' in bears
    assert "found: bears, not_bears, wolf" in bears
    assert 'data.positive=["bare"]' in message(fill(tmp_path / "typed", {"bare": 3, "wolf": 3}))
    split = message(fill(tmp_path / "split", {"train/Brown Bear": 3, "train/wolf": 3, "valid/wolf": 3}))
    assert 'data.positive=["Brown Bear"]' in split
    assert "train" not in split.split("found")[1].split(")")[0]
    many = message(fill(tmp_path / "many", {f"kind{number:02}": 1 for number in range(25)}))
    assert "and 15 more" in many

    few = message(fill(tmp_path / "few", {"bear": 2, "wolf": 9}))
    assert "bear has 2" in few and "3 different photos" in few
    assert "train split" in message(tmp_path / "few", valid_share=0.4, test_share=0.4)
    folders = {"train/bear": 3, "train/wolf": 3, "valid/wolf": 3}
    assert "valid split" in message(fill(tmp_path / "given", folders))
    assert "no folder train" in message(fill(tmp_path / "untrained", {"test/bear": 3, "test/fox": 3, "wolf": 3}))


@pytest.mark.slow  # decodes some 2,000 photos
@pytest.mark.skipif(not (SHARED / "data/bears").is_dir(), reason="the shared photos are not here")
def test_real_photos_keep_their_given_splits_and_kinds(tmp_path: Path, load: Any) -> None:
    root = SHARED / "data/bears"
    counts = load(root).counts()
    assert set(counts) == {"train", "valid"}
    assert {"dogs", "cats", "wolf"} <= set(counts["train"]["not_bear"])
    assert sum(counts["train"]["bear"].values()) + sum(counts["valid"]["bear"].values()) > 850


@pytest.mark.skipif(os.name != "posix", reason="names are always text here")
def test_a_name_that_is_not_utf8_becomes_text_that_can_be_written(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 9, "wolf": 9, os.fsdecode(b"l\xf6we"): 6})
    shutil.copyfile(root / "bear" / "0.png", root / os.fsdecode(b"l\xf6we") / os.fsdecode(b"b\xe4r.png"))
    dataset = load(root)
    assert set(dataset.counts()["train"]["not_bear"]) == {"wolf", r"l\xf6we"}
    json.dumps([dataset.counts(), dataset.subclasses()[0]], ensure_ascii=False).encode()
    json.dumps([photo.reason for photo in dataset.skipped], ensure_ascii=False).encode()
    assert len(dataset.skipped) == 2
    again = load_record(
        Dataset, json.loads(json.dumps(dataset.to_json())), image_size=8, resize="squish", cache_root=tmp_path
    )
    assert again == dataset


def test_a_folder_linked_into_both_classes_is_a_contradiction(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 6, "wolf": 6})
    fill(tmp_path, {"pool": 2}, start=500)
    for name in ("bear", "wolf"):
        (root / name / "link").symlink_to(tmp_path / "pool", target_is_directory=True)
    dataset = load(root)
    assert len(dataset.examples) == 12
    assert len([photo for photo in dataset.skipped if "has the other label" in photo.reason]) == 4
