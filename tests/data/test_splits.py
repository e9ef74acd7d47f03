import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bearcnn.data.cache_folder import list_caches
from bearcnn.data.splits import Example, cut_folds, draw_training, split_examples
from bearcnn.errors import DataError
from tests.helpers.folders import fill, where


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


class TestDrawTraining:
    """Few training photos: nested for one seed, both classes kept."""

    @given(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["train", "valid", "test"])), min_size=4, max_size=60),
        st.integers(2, 40),
        st.integers(0, 5),
    )
    def test_a_smaller_draw_is_a_part_of_a_larger_one(self, photos, count, seed):
        photos = [(0, "train"), (1, "train"), *photos]
        examples = [
            Example(Path(f"{row}.jpg"), label, "x", split, row, f"{row // 2}")
            for row, (label, split) in enumerate(photos)
        ]
        total = sum(split == "train" for _, split in photos)
        small, large = (
            {example.row for example in draw_training(examples, number, seed) if example.split == "train"}
            for number in (count, count + 1)
        )
        assert small <= large
        assert len(small) == min(count, total)
        assert {examples[row].label for row in small} == {0, 1}
        others = [example for example in examples if example.split != "train"]
        assert [each for each in draw_training(examples, count, seed) if each.split in ("valid", "test")] == others
        again = draw_training(draw_training(examples, count, seed), count, seed)
        assert again == draw_training(examples, count, seed)

    def test_classes_stay_in_proportion_and_seeds_draw_differently(self):
        examples = [Example(Path(f"{row}.jpg"), int(row % 4 == 0), "x", "train", row, str(row)) for row in range(400)]
        draws = [
            {example.row for example in draw_training(examples, 40, seed) if example.split == "train"}
            for seed in range(3)
        ]
        assert all(sum(row % 4 == 0 for row in draw) == 10 for draw in draws)
        assert draws[0] != draws[1] != draws[2]


@given(
    examples=draw_examples(), folds=st.integers(2, 7), seed=st.integers(0, 5), order=st.randoms(use_true_random=False)
)
@settings(deadline=None, max_examples=200)
def test_a_cut_has_every_photo_once_copies_together_and_each_class_and_kind_spread_evenly(
    examples: list[Example], folds: int, seed: int, order: Any
) -> None:
    pictures = {example.digest: example for example in examples}.values()
    fewest = min(sum(example.label == label for example in pictures) for label in (0, 1))
    if fewest < folds:
        possible = f"at most {fewest} folds are possible" if fewest > 1 else "cross-validation isn't possible"
        with pytest.raises(DataError, match=possible):
            cut_folds(examples, folds, seed, ("not_bear", "bear"))
        return
    made = cut_folds(examples, folds, seed, ("not_bear", "bear"))
    assert set(made) == {example.row for example in examples}
    assert set(made.values()) == set(range(folds))
    for example in examples:
        assert made[example.row] == made[next(each.row for each in examples if each.digest == example.digest)]
    for subclasses in ("a", "b", "c", "d", "e", "abc", "de", "abcde"):  # each alone, each class, all
        same = [made[each.row] for each in pictures if each.subclass in subclasses]
        numbers = [same.count(fold) for fold in range(folds)]
        assert max(numbers) - min(numbers) <= 1
    for fold in range(folds):
        assert {example.label for example in pictures if made[example.row] == fold} == {0, 1}
    shuffled = list(examples)
    order.shuffle(shuffled)
    assert cut_folds(shuffled, folds, seed, ("not_bear", "bear")) == made


def test_another_seed_is_another_cut_and_a_data_set_is_cut_into_its_folds(tmp_path: Path, load: Any) -> None:
    dataset = load(fill(tmp_path / "data", {"bear": 20, "wolf": 20}), test_share=0, valid_share=0)
    first, again, other = ([where(part) for part in dataset.cut_folds(4, seed)] for seed in (0, 0, 1))
    assert first == again != other
    judged = [path for part in first for path, split in part.items() if split == "valid"]
    assert sorted(judged) == sorted(first[0])
    assert all(Counter(part.values()) == {"train": 30, "valid": 10} for part in first)
