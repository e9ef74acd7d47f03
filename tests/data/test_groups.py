"""Groups of photos: what keeps them together, and the splits that this gives."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from bearcnn.config import DataConfig, dump_config, load_config
from bearcnn.data.dataset import Dataset
from bearcnn.data.group_names import AUTO, NONE, name_group
from bearcnn.data.groups import split_by_group
from bearcnn.data.loading import load_listing, load_record
from bearcnn.data.related import Related
from bearcnn.data.sources.base import Listing
from bearcnn.data.sources.folders import drop_group_folders, list_folders
from bearcnn.data.splits import Example, split_examples
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.errors import DataError
from tests.helpers.folders import fill, where

CLASSES = ("not_bear", "bear")
SHARES: dict[Any, float] = {"test": 0.2, "valid": 0.2}
NOON = datetime(2024, 5, 1, 12)


def scatter(root: Path, sites: int, photos: int = 3) -> Path:
    """So many photos of each class at each site: site1/bear/0.png, site1/wolf/0.png, ..."""
    return fill(root, {f"site{site}/{kind}": photos for site in range(1, sites + 1) for kind in ("bear", "wolf")})


def unrelated(examples: list[Example], **known: Any) -> Related:
    number = len(examples)
    return replace(Related((None,) * number, (None,) * number, tuple(range(number))), **known)


def sides(dataset: Dataset, level: int = 0) -> dict[str, set[str]]:
    """The splits of the photos of each folder at a level."""
    found: dict[str, set[str]] = {}
    for name, split in where(dataset).items():
        found.setdefault(name.split("/")[level], set()).add(split)
    return found


@pytest.mark.parametrize(
    ("path", "setting", "name"),
    [
        ("site1/bear/a.jpg", 1, "site1"),
        ("train/site1/bear/a.jpg", 1, "site1"),
        ("bear/site1/a.jpg", 2, "site1"),
        ("bear/site1/a.jpg", -1, "site1"),
        ("bear/a.jpg", 2, None),
        ("bear/a.jpg", -2, None),
        ("a.jpg", 1, None),
        ("bear/CAM07_0001.jpg", r"CAM\d+", "CAM07"),
        ("bear/CAM07_0001.jpg", r"CAM(\d+)_", "07"),
        ("bear/other.jpg", r"CAM\d+", None),
        ("bear/a.jpg", r"(x)?bear", None),
        ("site1/a.jpg", AUTO, None),
        ("site1/a.jpg", NONE, None),
    ],
)
def test_a_group_is_a_level_of_folders_or_a_pattern(path: str, setting: int | str, name: str | None) -> None:
    assert name_group(Path(path), setting) == name


def test_a_split_by_folder_has_no_site_on_two_sides_and_tells_what_it_did(tmp_path: Path, load: Any) -> None:
    dataset = load(scatter(tmp_path / "data", 10), group=1)
    assert all(len(splits) == 1 for splits in sides(dataset).values())
    assert dataset.describe_groups() == "split by data.group = 1: 10 groups, 6 train / 2 valid / 2 test"
    assert {example.site for example in dataset.examples} == {f"site{number}" for number in range(1, 11)}
    assert {(example.label, example.subclass) for example in dataset.examples} == {(1, "bear"), (0, "wolf")}
    assert dataset.grouping is not None and not dataset.grouping.warnings
    record = json.loads(json.dumps(dataset.to_json()))
    again = load_record(Dataset, record, image_size=8, resize="squish", cache_root=tmp_path / "cache")
    assert again == dataset


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (4, r"data\.group = 4: no photo is in a folder at level 4 below .*, such as site1/bear/0\.png"),
        ("CAM", r"data\.group = CAM: the pattern matches no photo below"),
    ],
)
def test_a_setting_that_finds_no_group_is_refused(tmp_path: Path, load: Any, setting: int | str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(scatter(tmp_path / "data", 3), group=setting)


def test_too_few_sites_with_a_bear_are_refused_with_the_reason_and_the_ways_out(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"a/bear": 9, **{f"{site}/wolf": 9 for site in "abcde"}})
    said = (
        r"all photos of bear are of one group, a: a split by data\.group = 1 leaves none for validation and test; add "
        r"photos of other groups, make no test split \(--set data\.test_share=0\), or split whatever the group, which "
        r"flatters the scores \(--set data\.group=none\)"
    )
    with pytest.raises(DataError, match=said):
        load(root, group=1)
    fill(root, {"b/bear": 4}, start=500)
    with pytest.raises(
        DataError, match=r"the photos of bear are of 2 groups, a and b: a split by .* needs 3, for train"
    ):
        load(root, group=1)
    assert set(load(root, group=1, test_share=0).counts()) == {"train", "valid"}
    assert set(load(root, group=NONE).counts()) == {"train", "valid", "test"}


def test_where_nothing_hangs_together_the_split_is_that_of_each_photo_alone(tmp_path: Path, load: Any) -> None:
    root = fill(tmp_path / "data", {"bear": 20, "wolf": 15, "fox": 2})
    auto, alone = load(root), load(root, group=NONE)
    assert where(auto) == where(alone)
    assert auto.fingerprint == alone.fingerprint
    assert auto.describe_groups() is None
    made = split_examples([replace(each, split="train") for each in alone.examples], SHARES, 0)
    assert all(made[each.row] == each.split for each in alone.examples)


def draw(path: Path, index: int, shift: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(draw_scene(0, index, size=96, is_bear=index % 2 == 0).image)
    Image.fromarray(np.roll(pixels, shift, axis=1)).save(path)


@pytest.mark.slow  # draws 46 scenes
def test_near_copies_are_never_on_two_sides_and_move_few_photos(tmp_path: Path, load: Any) -> None:
    root = tmp_path / "data"
    for index in range(40):
        draw(root / ("wolf", "bear")[index % 2 == 0] / f"{index}.png", index)
    for index in range(6):
        draw(root / ("wolf", "bear")[index % 2 == 0] / f"again{index}.png", index, shift=1)
    dataset, alone = load(root), load(root, group=NONE)
    assert dataset.describe_groups() == "kept together: 12 photos in 6 bursts or sets of near copies"
    splits = where(dataset)
    for index in range(6):
        folder = ("wolf", "bear")[index % 2 == 0]
        assert splits[f"{folder}/{index}.png"] == splits[f"{folder}/again{index}.png"]
    before = where(alone)
    assert 0 < sum(split != before[name] for name, split in splits.items()) <= 10
    assert load(root, test_share=0.0).examples != dataset.examples
    for size in (12, 40):
        other = Dataset.from_folder(root, image_size=size, resize="pad", cache_root=tmp_path / "cache")
        assert where(other) == splits, "the split must not depend on what the network sees"


def test_given_splits_stay_and_a_near_copy_on_two_sides_is_told(tmp_path: Path, load: Any) -> None:
    root = tmp_path / "data"
    for index in range(12):
        split, folder = ("train", "train", "valid")[index // 2 % 3], ("wolf", "bear")[index % 2 == 0]
        draw(root / split / folder / f"{index}.png", index)
    draw(root / "valid/bear/seen.png", 0, shift=1)
    dataset = load(root)
    assert all(name.startswith(split) for name, split in where(dataset).items())
    assert dataset.grouping is not None and dataset.grouping.warnings == {
        "valid": "1 of 5 validation photos have their burst or a near copy among the training photos: the scores "
        "flatter"
    }
    config = load_config(None, ["train.folds=2"])
    pooled = dataset.for_training(config).grouping
    assert pooled is not None and not pooled.warnings, "with folds, they are training photos"


def test_frames_of_one_event_and_a_cameras_day_are_kept_together(tmp_path: Path, load: Any) -> None:
    root = tmp_path / "data"
    number = 0
    for day in range(1, 11):
        for frame in range(4):
            for kind in ("bear", "empty"):
                stamp = datetime(2024, 6, day, 3, 10, 10 * frame)
                name = f"IMG_{stamp:%Y%m%d_%H%M%S}_{kind}.png"
                fill(root, {kind: 1}, start=(number := number + 1))
                (root / kind / "0.png").rename(root / kind / name)
    splits = where(load(root))
    for day in range(1, 11):
        for kind in ("bear", "empty"):
            frames = {split for name, split in splits.items() if f"{kind}/IMG_202406{day:02}" in name}
            assert len(frames) == 1, "the times in the names tell a burst"
    assert len(set(splits.values())) == 3


def make(*groups: tuple[int, int], **known: Any) -> list[Example]:
    """Groups of so many bears and others each, one site each unless `known` says otherwise."""
    examples: list[Example] = []
    for number, (bears, others) in enumerate(groups):
        for place in range(bears + others):
            row, label = len(examples), int(place < bears)
            path = Path(f"/data/{row}.jpg")
            example = Example(path, label, CLASSES[label], "train", row, f"{row * 7919 % 10007:05}")
            examples.append(replace(example, **{"site": f"site{number}"} | known))
    return examples


def divide(examples: list[Example], related: Related, setting: int | str = AUTO, seed: int = 0) -> Any:
    return split_by_group(Path("/data"), examples, related, setting, SHARES, seed, CLASSES)


def test_sequences_and_near_copies_join_sites() -> None:
    examples = make(*[(4, 4)] * 8)
    near = [*range(len(examples))]
    near[60] = near[1]  # a near copy at another site
    found, grouping = divide(examples, unrelated(examples, near=tuple(near)))
    assert grouping.by == "site"
    assert len({each.split for each in found if each.site in ("site0", "site7")}) == 1
    assert len({each.group for each in found}) == 7
    listed = [replace(each, site=None, sequence=f"burst{each.row // 4}") for each in examples]
    found, grouping = divide(listed, unrelated(listed))
    assert grouping.by == "bursts and near copies"
    assert len({(each.sequence, each.split) for each in found}) == 16


def test_a_camera_that_never_moves_is_split_by_burst_with_a_warning() -> None:
    examples = make((30, 30), site=None)
    examples = [replace(each, taken=NOON + timedelta(minutes=10 * each.row)) for each in examples]
    found, grouping = divide(examples, unrelated(examples, near=(0,) * 60))
    assert {each.split for each in found} == {"train", "valid", "test"}
    assert grouping.warnings["split"] == (
        "all photos of bear are of one group, 0.jpg: a split by bursts and near copies leaves none for validation and "
        "test; split without near copies instead"
    )
    assert grouping.warnings["valid"].endswith("near copy among the training photos: the scores flatter")


def test_a_camera_and_a_day_are_the_group_where_most_photos_tell_them() -> None:
    examples = make((60, 60), site=None)
    taken = tuple(NOON + timedelta(days=each.row % 12, hours=each.row // 12) for each in examples)
    examples = [replace(each, taken=time) for each, time in zip(examples, taken, strict=True)]
    related = unrelated(examples, taken=taken, camera=("Reconyx",) * 120)
    found, grouping = divide(examples, related)
    assert grouping.by == "camera and day"
    assert len({(each.taken.date(), each.split) for each in found if each.taken}) == 12
    assert found[0].group == "Reconyx, 2024-05-01"


def test_sites_of_the_source_give_way_to_data_group_and_none_switches_all_off() -> None:
    examples = make(*[(4, 4)] * 8)
    named, grouping = divide(examples, unrelated(examples), setting=r"\d(?=\.jpg)")
    assert grouping.by == r"data.group = \d(?=\.jpg)"
    assert len({(each.path.stem[-1], each.split) for each in named}) == 10
    alone, grouping = divide(examples, unrelated(examples), setting=NONE)
    assert grouping.by == "exact copies"
    assert {each.group for each in alone} == {None}


@settings(deadline=None, max_examples=20)
@example([(0, 0), (2, 3), (3, 4)], [(3, 2), (75, 4)], False, 1, Random(0))  # fewer of each class than folds
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12),
    st.lists(st.tuples(st.integers(0, 119), st.integers(0, 119)), max_size=4),
    st.booleans(),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_nothing_that_hangs_together_is_on_two_sides(
    groups: list[tuple[int, int]], pairs: list[tuple[int, int]], sited: bool, seed: int, order: Any
) -> None:
    examples = make(*groups, **({} if sited else {"site": None}))
    if not examples:
        return
    near = [*range(len(examples))]
    for one, other in pairs:
        near[other % len(near)] = near[one % len(near)]
    related = unrelated(examples, near=tuple(near))
    try:
        found, grouping = divide(examples, related, seed=seed)
    except DataError:
        assert sited  # the photos' own relations are never a reason to refuse
        return
    splits = {each.row: each.split for each in found}
    assert splits.keys() == {each.row for each in examples}
    for relation in (
        {each.row: each.site for each in examples},
        dict(enumerate(near)) if not grouping.warnings else {},
    ):
        together: dict[Any, set[str]] = {}
        for row, value in relation.items():
            if value is not None:
                together.setdefault(value, set()).add(splits[row])
        assert all(len(each) == 1 for each in together.values())
    shuffled = list(examples)
    order.shuffle(shuffled)
    again, _ = divide(shuffled, related, seed=seed)
    assert {each.row: (each.split, each.group) for each in again} == {
        each.row: (each.split, each.group) for each in found
    }


def test_folds_keep_groups_whole_and_too_few_groups_are_refused(tmp_path: Path, load: Any) -> None:
    dataset = load(scatter(tmp_path / "data", 10), group=1, test_share=0, valid_share=0)
    assert dataset.describe_groups() == "grouped by data.group = 1: 10 groups"
    parts = dataset.cut_folds(5, 0)
    for part in parts:
        assert Counter(len(splits) for splits in sides(part).values()) == {1: 10}
        assert {example.label for example in part.select("valid")} == {0, 1}
    judged = [path for part in parts for path, split in where(part).items() if split == "valid"]
    assert sorted(judged) == sorted(where(dataset))
    few = load(scatter(tmp_path / "few", 3), group=1, test_share=0, valid_share=0)
    with pytest.raises(DataError, match=r"5 folds by data\.group = 1 need photos of each class in 5 groups or more"):
        few.cut_folds(5, 0)


@pytest.mark.parametrize(
    ("names", "group", "expected"),
    [
        (["s1/bear/a", "s1/wolf/a", "s2/not_bear/a"], 1, ["bear", "wolf", "not_bear"]),
        (["bear/s1/a", "bear/s2/brown/a", "wolf/s1/a"], 2, ["bear", "brown", "wolf"]),
        (["train/s1/bear/a", "train/s1/fox/a", "valid/s2/fox/a"], 1, ["bear", "fox", "fox"]),
        (["zip/s1/bear/a", "zip/s2/wolf/a"], 2, ["bear", "wolf"]),
        (["s1/bear/a", "s2/wolf/a"], r"s(\d)", ["bear", "wolf"]),
        (["s1/bear/a", "s2/wolf/a"], AUTO, ["bear", "s2"]),
        (["bear/brown/a", "wolf/a"], -1, ["bear", "wolf"]),
    ],
)
def test_the_folder_of_a_site_is_no_subclass(tmp_path: Path, names: list[str], group: Any, expected: list[str]) -> None:
    for number, name in enumerate(names):
        fill(tmp_path, {name: 1}, start=number)
        (tmp_path / name / "0.png").rename(tmp_path / f"{name}.png")
    listing = drop_group_folders(list_folders(tmp_path, ["bear"]), group, ["bear"])
    found = {photo.path.relative_to(tmp_path).as_posix(): photo.subclass for photo in listing.labelled}
    assert found == {f"{name}.png": subclass for name, subclass in zip(names, expected, strict=True)}


def test_drawn_scenes_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = scatter(tmp_path / "data", 3)
    monkeypatch.setattr("bearcnn.data.loading.find_related", lambda *_: pytest.fail("they were looked at"))
    listing = replace(list_folders(root, ["bear"]), independent=True)
    assert isinstance(listing, Listing)
    dataset = load_listing(
        Dataset,
        listing,
        ["bear"],
        image_size=8,
        resize="squish",
        shares=SHARES,
        split_seed=0,
        cache_root=tmp_path / "cache",
    )
    assert dataset.grouping is None
    assert not any(
        key in row for row in dataset.to_json()["examples"] for key in ("site", "group", "taken", "sequence")
    )
    assert "grouping" not in dataset.to_json()


@pytest.mark.parametrize("value", [0, "", "(", 1.5])
def test_a_setting_that_can_mean_nothing_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"data\.group|group"):
        DataConfig(group=value)


@pytest.mark.parametrize(("text", "value"), [("-1", -1), ("2", 2), ("none", "none"), (r"CAM\d+_(\w)", r"CAM\d+_(\w)")])
def test_a_setting_survives_the_command_line_and_the_file_of_a_run(tmp_path: Path, text: str, value: Any) -> None:
    config = load_config(None, [f"data.group={text}"])
    assert config.data.group == value
    (tmp_path / "config.toml").write_text(dump_config(config, explained=True))
    assert load_config(tmp_path / "config.toml") == config
