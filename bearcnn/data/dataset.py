"""A folder of class folders -> labelled, split examples with their pixels.

Everything is decided from the paths below the folder and from the bytes of the photos, so the same photos give the
same data set wherever they lie and in whatever order a disk lists them. This module must not import torch, fastai,
matplotlib or pandas.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import DataConfig, ResizeMode
from bearcnn.data.cache import build_cache, cache_root
from bearcnn.data.splits import (
    SPLITS,
    Example,
    Split,
    check_splits,
    find_contradictions,
    find_copies,
    label_photos,
    list_photos,
    split_examples,
)
from bearcnn.errors import DataError
from bearcnn.runs import Run

Progress = Callable[[int, int], None]
Subclasses = tuple[tuple[int, str], ...]
"""Class and name of each subclass that training tells apart."""


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """One photo that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled, split examples, and the pixels of their photos."""

    root: Path
    positive: tuple[str, ...]  # names of folders
    classes: tuple[str, str]  # negative, positive
    examples: tuple[Example, ...]
    skipped: tuple[SkippedPhoto, ...]
    fingerprint: str  # of every example's relative path, digest, label and split
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)  # (rows, size, size, 3)

    def select(self, split: Split) -> tuple[Example, ...]:
        """The examples of one split, in the order of their paths."""
        return tuple(example for example in self.examples if example.split == split)

    def counts(self) -> dict[Split, dict[str, dict[str, int]]]:
        """How many photos there are: split -> class -> subclass -> number, for the splits that exist."""
        counts: dict[Split, dict[str, dict[str, int]]] = {}
        for split in SPLITS:
            found = sorted(Counter((example.label, example.subclass) for example in self.select(split)).items())
            if found:
                counts[split] = {
                    name: {subclass: number for (of, subclass), number in found if of == label}
                    for label, name in enumerate(self.classes)
                }
        return counts

    def arrays(self, split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the pixels and labels of one split, each (photos,)."""
        chosen = self.select(split)
        return np.array([example.row for example in chosen], np.int64), np.array([e.label for e in chosen], np.int64)

    def subclasses(self, at_least: int = 5) -> tuple[Subclasses, NDArray[np.int64]]:
        """The subclasses to tell apart in training, and the subclass of each training photo, (photos,).

        What has fewer than `at_least` training photos is too rare to be learnt: within a class it counts as one, "".
        """
        chosen = self.select("train")
        counts = Counter((example.label, example.subclass) for example in chosen)
        names = [(each.label, each.subclass) for each in chosen]
        names = [name if counts[name] >= at_least else (name[0], "") for name in names]
        found = tuple(sorted(set(names)))
        return found, np.array([found.index(name) for name in names], np.int64)

    def best_to_judge(self) -> Split:
        """The split whose scores mean most: test, else valid, else train."""
        return next(split for split in reversed(SPLITS) if self.select(split))

    def to_json(self) -> dict[str, Any]:
        """What dataset.json holds, from which `read_dataset` finds the same photos again."""
        examples = [
            {
                "path": example.path.relative_to(self.root).as_posix(),
                "label": example.label,
                "subclass": example.subclass,
                "split": example.split,
                "digest": example.digest,
            }
            for example in self.examples
        ]
        skipped = [
            {"path": photo.path.relative_to(self.root).as_posix(), "reason": photo.reason} for photo in self.skipped
        ]
        return {
            "format": 1,
            "root": str(self.root.absolute()),
            "positive": list(self.positive),
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            "examples": examples,
            "skipped": skipped,
        }


def open_dataset(config: DataConfig, drawing: Progress | None = None, decoding: Progress | None = None) -> Dataset:
    """The data set of a configuration: a folder, or the built-in scenes, drawn if they aren't there yet."""
    root = Path(config.path) if config.path else _builtin_scenes(drawing)
    return load_dataset(
        root,
        positive=config.positive,
        image_size=config.image_size,
        resize=config.resize,
        valid_share=config.valid_share,
        test_share=config.test_share,
        split_seed=config.split_seed,
        progress=decoding,
    )


def reopen_dataset(run: Run, drawing: Progress | None = None, decoding: Progress | None = None) -> Dataset:
    """The very photos that a run was trained on, in their splits, as its dataset.json has them.

    Raises DataError if one of them is missing or has changed, RunError if the run has no record of them.
    """
    config = run.config().data
    root = None if config.path else _builtin_scenes(drawing)
    return read_dataset(
        run.dataset_record(), image_size=config.image_size, resize=config.resize, root=root, progress=decoding
    )


def load_labelled(root: Path, config: DataConfig, decoding: Progress | None = None) -> Dataset:
    """Photos to judge a model on that it was not trained on: the folder's own splits, or all of it as test."""
    whole = config.model_copy(update={"path": str(root), "valid_share": 0.0, "test_share": 0.0})
    dataset = open_dataset(whole, decoding=decoding)
    if {example.split for example in dataset.examples} != {"train"}:
        return dataset
    return replace(dataset, examples=tuple(replace(example, split="test") for example in dataset.examples))


def load_dataset(
    root: Path,
    *,
    positive: Sequence[str] = ("bear",),
    image_size: int,
    resize: ResizeMode,
    valid_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    cache_root: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The photos under a folder, labelled by the folders they are in, and split.

    A photo is positive if a folder it is in, below `root`, is called like one of `positive` (case doesn't matter).
    Folders called train, valid (val, validation) and test at the top are kept as splits; what they lack is made:
    both others from a lone train folder, a validation split from train beside test, but no test split beside train
    and valid. A share of 0 makes no split. Exact copies never lie on two sides. Raises DataError for a folder that
    can't be used.
    """
    paths = list_photos(root)
    examples, reasons, given = label_photos(root, paths, positive)
    if given and "train" not in given and valid_share > 0:
        raise DataError(f"{root} has a folder {min(given)} but no folder train: put the others into {root / 'train'}.")
    classes = (f"not_{positive[0]}", positive[0])
    check_splits(root, examples, classes, given, given)

    cache = build_cache(paths, image_size, resize, root=cache_root, progress=progress)
    reasons |= {row: reason for row, reason in enumerate(cache.reasons) if reason is not None}
    examples = [
        replace(example, digest=cache.digests[example.row]) for example in examples if example.row not in reasons
    ]
    reasons |= find_contradictions(root, examples)
    reasons |= find_copies(root, [example for example in examples if example.row not in reasons])
    examples = [example for example in examples if example.row not in reasons]

    wanted: dict[Split, float] = {} if "valid" in given else {"test": test_share, "valid": valid_share}
    shares = {split: share for split, share in wanted.items() if split not in given and share > 0}
    made = split_examples([example for example in examples if example.split == "train"], shares, split_seed)
    examples = [replace(example, split=made.get(example.row, example.split)) for example in examples]
    check_splits(root, examples, classes, {*(given or {"train"}), *shares}, given)
    skipped = tuple(SkippedPhoto(paths[row], reasons[row]) for row in sorted(reasons))
    fingerprint = _take_fingerprint(root, examples)
    return Dataset(root, tuple(positive), classes, tuple(examples), skipped, fingerprint, cache.pixels)


def read_dataset(
    record: Mapping[str, Any],
    *,
    image_size: int,
    resize: ResizeMode,
    root: Path | None = None,
    splits: Collection[Split] = SPLITS,
    cache_root: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set that `Dataset.to_json` wrote down, with the examples of these splits.

    `root` is where the photos lie now, if they have moved. Raises DataError if a photo of these splits is missing or
    is no longer the same file, or if the record can't be understood.
    """
    try:
        root = root or Path(record["root"])
        found = [
            Example(root / row["path"], int(row["label"]), row["subclass"], row["split"], 0, row["digest"])
            for row in record["examples"]
        ]
        skipped = tuple(SkippedPhoto(root / row["path"], row["reason"]) for row in record["skipped"])
        positive, classes = tuple(record["positive"]), (record["classes"][0], record["classes"][1])
        fingerprint = str(record["fingerprint"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError("The list of photos in the run (dataset.json) is damaged: train again.") from error
    absent = [photo.path for photo in found if photo.split in splits and not photo.path.exists()]
    if absent:  # before anything is decoded: a cache without them would be of no use
        raise _changed(root, absent, "is missing")
    # All photos in the order of training, not only those asked for, so that the cache made for training serves.
    paths = [example.path for example in found] + [photo.path for photo in skipped]
    paths.sort(key=lambda path: path.parts)
    cache = build_cache(paths, image_size, resize, root=cache_root, progress=progress)
    rows = {path: row for row, path in enumerate(paths)}
    examples = tuple(replace(example, row=rows[example.path]) for example in found if example.split in splits)
    changed = [example.path for example in examples if cache.digests[example.row] != example.digest]
    if changed:
        raise _changed(root, changed, "has changed since training")
    return Dataset(root, positive, classes, examples, skipped, fingerprint, cache.pixels)


def _changed(root: Path, paths: list[Path], what: str) -> DataError:
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    name = paths[0].relative_to(root).as_posix()
    return DataError(
        f"A photo {what} in {root}: {name}{others}. Bring it back as it was, or train again; "
        "`bearcnn evaluate --data FOLDER` judges on other photos."
    )


def _builtin_scenes(progress: Progress | None) -> Path:
    from bearcnn.data.synthetic.scenes import (
        builtin_scenes,  # not at the top: with photos of one's own nothing is drawn
    )

    return builtin_scenes(cache_root(), progress)


def _take_fingerprint(root: Path, examples: list[Example]) -> str:
    rows = [(each.path.relative_to(root).as_posix(), each.digest, each.label, each.split) for each in examples]
    return hashlib.blake2b(json.dumps(sorted(rows)).encode(), digest_size=16).hexdigest()
