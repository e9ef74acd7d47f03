import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.data.cache import list_caches
from bearcnn.data.dataset import Dataset, load_dataset, read_dataset
from bearcnn.data.splits import Example, split_examples
from bearcnn.errors import DataError
from tests.helpers.places import SHARED


def paint(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (number % 256, number // 256, 99)).save(path, "PNG")
    return path


def fill(root: Path, folders: dict[str, int], start: int = 0) -> Path:
    """So many different photos in each folder."""
    number = start
    for folder, count in folders.items():
        for index in range(count):
            paint(root / folder / f"{index}.png", number)
            number += 1
    return root


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(root: Path, **options: Any) -> Dataset:
        return load_dataset(root, image_size=8, resize="squish", cache_root=tmp_path / "cache", **options)

    return load


def where(dataset: Dataset) -> dict[str, str]:
    return {example.path.relative_to(dataset.root).as_posix(): example.split for example in dataset.examples}


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


def test_the_pixels_belong_to_the_examples(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 5, "wolf": 5}))
    for example in dataset.examples:
        with Image.open(example.path) as image:
            assert tuple(dataset.pixels[example.row, 3, 3]) == image.getpixel((3, 3))


def test_splits_are_stratified_by_subclass(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear/brown": 20, "bear/polar": 3, "wolf": 10, "fox": 5}))
    assert dataset.counts() == {
        "train": {"not_bear": {"fox": 3, "wolf": 6}, "bear": {"brown": 12, "polar": 1}},
        "valid": {"not_bear": {"fox": 1, "wolf": 2}, "bear": {"brown": 4, "polar": 1}},
        "test": {"not_bear": {"fox": 1, "wolf": 2}, "bear": {"brown": 4, "polar": 1}},
    }
    assert sum(len(dataset.select(split)) for split in ("train", "valid", "test")) == 38


def test_many_kinds_of_one_photo_each_are_split_together(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 10, **{f"kind{number}": 1 for number in range(20)}}))
    splits = Counter(example.split for example in dataset.examples if not example.label)
    assert splits == {"train": 12, "valid": 4, "test": 4}


def test_no_split_is_made_for_a_share_of_zero(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 9, "wolf": 9})
    assert set(load(root, test_share=0).counts()) == {"train", "valid"}
    assert set(load(root, valid_share=0, test_share=0).counts()) == {"train"}
    only = fill(tmp_path / "only", {"test/bear": 3, "test/wolf": 3})
    assert set(load(only, valid_share=0, test_share=0).counts()) == {"test"}


@st.composite
def draw_examples(draw: st.DrawFn) -> list[Example]:
    digests = draw(st.lists(st.integers(0, 60), min_size=1, max_size=120))
    kinds = {
        digest: draw(st.sampled_from([(0, "a"), (0, "b"), (0, "c"), (1, "d"), (1, "e")])) for digest in set(digests)
    }
    return [
        Example(Path(f"{row}.jpg"), *kinds[digest], split="train", row=row, digest=f"{digest:x}")
        for row, digest in enumerate(digests)
    ]


@given(examples=draw_examples(), seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=150)
def test_a_split_has_every_photo_once_copies_together_and_each_kind_in_its_share(
    examples: list[Example], seed: int, order: Any
) -> None:
    shares: dict[Any, float] = {"valid": 0.1, "test": 0.25}
    made = split_examples(examples, shares, seed)
    assert set(made) == {example.row for example in examples}
    by_digest: dict[str, set[str]] = {}
    for example in examples:
        by_digest.setdefault(example.digest, set()).add(made[example.row])
    assert all(len(splits) == 1 for splits in by_digest.values())
    pictures = {example.digest: example for example in examples}.values()
    for kind in {(example.label, example.subclass) for example in pictures}:
        same = [example for example in pictures if (example.label, example.subclass) == kind]
        numbers = Counter(made[example.row] for example in same)
        if len(same) >= 3:
            assert min(numbers[split] for split in ("train", "valid", "test")) >= 1
            assert all(abs(numbers[split] - len(same) * share) <= 1 for split, share in shares.items())
    shuffled = list(examples)
    order.shuffle(shuffled)
    assert split_examples(shuffled, shares, seed) == made


def test_another_seed_is_another_split(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 20, "wolf": 20})
    splits = [where(load(root, split_seed=seed)) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_the_split_depends_on_neither_the_place_nor_the_order_of_the_photos(tmp_path: Path, load: Any) -> None:
    first = load(fill(tmp_path / "one", {"bear": 9, "wolf": 9}))
    moved = tmp_path / "far" / "away"
    for path in sorted((tmp_path / "one").rglob("*.png"), reverse=True):
        target = moved / path.relative_to(tmp_path / "one")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    second = load(moved)
    assert where(first) == where(second)
    assert first.fingerprint == second.fingerprint


def test_added_photos_leave_nearly_all_others_where_they_were(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 50, "wolf": 50})
    before = load(root)
    fill(root, {"bear/new": 5, "wolf/new": 5}, start=1000)
    after = where(load(root))
    moves = Counter((split, after[name]) for name, split in where(before).items() if after[name] != split)
    assert sum(moves.values()) <= 8
    assert ("valid", "test") not in moves and ("test", "valid") not in moves
    assert load(root).fingerprint != before.fingerprint


def test_exact_copies_are_never_on_two_sides(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 12, "wolf": 12})
    for number in range(12):
        shutil.copyfile(root / "bear" / f"{number}.png", root / "bear" / f"copy{number}.png")
    splits = where(load(root))
    assert len(splits) == 36
    for number in range(12):
        assert splits[f"bear/{number}.png"] == splits[f"bear/copy{number}.png"]


def test_copies_with_different_labels_are_left_out(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 5, "wolf": 5})
    shutil.copyfile(root / "bear" / "2.png", root / "wolf" / "x.png")
    dataset = load(root)
    assert {photo.path.relative_to(root).as_posix(): photo.reason for photo in dataset.skipped} == {
        "bear/2.png": "its exact copy wolf/x.png has the other label",
        "wolf/x.png": "its exact copy bear/2.png has the other label",
    }
    assert len(dataset.examples) == 9


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


@pytest.mark.parametrize(
    ("folders", "numbers"),
    [
        (["train", "valid"], {"train": 20, "valid": 20}),
        (["train", "test"], {"train": 16, "valid": 4, "test": 20}),
        (["train"], {"train": 12, "valid": 4, "test": 4}),
    ],
)
def test_missing_splits_are_made_from_train_but_never_a_test_split_beside_valid(
    tmp_path: Path, load: Any, folders: list[str], numbers: dict[str, int]
) -> None:
    root = fill(tmp_path / "data", {f"{split}/{name}": 10 for split in folders for name in ("bear", "wolf")})
    assert Counter(where(load(root)).values()) == numbers


def test_a_copy_in_two_given_splits_stays_where_it_must_not_be_seen(tmp_path: Path, load: Any) -> None:
    root = fill(
        tmp_path / "data", {f"{split}/{name}": 3 for split in ("train", "valid", "test") for name in ("bear", "fox")}
    )
    shutil.copyfile(root / "test/bear/0.png", root / "train/bear/a.png")
    shutil.copyfile(root / "test/bear/0.png", root / "valid/bear/b.png")
    shutil.copyfile(root / "valid/fox/0.png", root / "train/fox/c.png")
    shutil.copyfile(root / "train/fox/1.png", root / "train/fox/d.png")
    dataset = load(root)
    assert {photo.path.name: photo.reason for photo in dataset.skipped} == {
        "a.png": "exact copy of test/bear/0.png in the test split",
        "b.png": "exact copy of test/bear/0.png in the test split",
        "c.png": "exact copy of valid/fox/0.png in the valid split",
    }
    assert where(dataset)["train/fox/d.png"] == "train"


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

    assert "There is no folder" in message(tmp_path / "none")
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


def test_a_split_without_a_class_is_refused_before_anything_is_decoded(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"train/bear": 3, "train/wolf": 3, "valid/bear": 3})
    with pytest.raises(DataError, match="no usable photo of not_bear"):
        load(root)
    assert list_caches(tmp_path / "cache") == []


def test_a_split_left_empty_by_broken_photos_is_refused(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"train/bear": 3, "train/wolf": 3, "valid/bear": 3, "valid/wolf": 1})
    (root / "valid" / "wolf" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="no usable photo of not_bear"):
        load(root)


def read(dataset: Dataset, cache: Path, **options: Any) -> Dataset:
    record = json.loads(json.dumps(dataset.to_json()))
    return read_dataset(record, image_size=8, resize="squish", cache_root=cache, **options)


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
        read_dataset(record, image_size=8, resize="squish", cache_root=tmp_path)


@pytest.mark.skipif(not (SHARED / "data/bears").is_dir(), reason="the shared photos are not here")
def test_real_photos_keep_their_given_splits_and_kinds(tmp_path: Path, load: Any) -> None:
    root = SHARED / "data/bears"
    counts = load(root).counts()
    assert set(counts) == {"train", "valid"}
    assert {"dogs", "cats", "wolf"} <= set(counts["train"]["not_bear"])
    assert sum(counts["train"]["bear"].values()) + sum(counts["valid"]["bear"].values()) > 850
