"""A folder of class folders to labelled, split examples.

Everything is decided from the paths below the folder and from the bytes of the photos, so the same photos give the
same data set wherever they lie and in whatever order a disk lists them. This module must not import torch, fastai,
matplotlib or pandas.
"""

import difflib
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bearcnn.cache import build_cache, cache_root
from bearcnn.config import DataConfig
from bearcnn.errors import DataError
from bearcnn.photos import Fit, find_photos
from bearcnn.runs import Run

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}

Place = tuple[str, ...]  # the folders that a photo lies in, below the root
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled photo."""

    path: Path
    label: int  # 1 for the positive class
    subclass: str  # what kind of bear, or of something else
    split: Split
    row: int  # in the pixels of the data set
    digest: str  # of the file's bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
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
    left_out: tuple[LeftOut, ...]
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
        left_out = [
            {"path": photo.path.relative_to(self.root).as_posix(), "reason": photo.reason} for photo in self.left_out
        ]
        return {
            "format": 1,
            "root": str(self.root.absolute()),
            "positive": list(self.positive),
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            "examples": examples,
            "left_out": left_out,
        }


def open_dataset(config: DataConfig, drawing: Progress | None = None, decoding: Progress | None = None) -> Dataset:
    """The data set of a configuration: a folder, or the built-in scenes, drawn if they aren't there yet."""
    root = Path(config.path) if config.path else _builtin_scenes(drawing)
    return load_dataset(
        root,
        positive=config.positive,
        image_size=config.image_size,
        fit=config.fit,
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
        run.dataset_record(), image_size=config.image_size, fit=config.fit, root=root, progress=decoding
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
    fit: Fit,
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
    paths = _find(root)
    examples, reasons, given = _label(root, paths, positive)
    if given and "train" not in given and valid_share > 0:
        raise DataError(f"{root} has a folder {min(given)} but no folder train: put the others into {root / 'train'}.")
    classes = (f"not_{positive[0]}", positive[0])
    _check_splits(root, examples, classes, given, given)

    cache = build_cache(paths, image_size, fit, root=cache_root, progress=progress)
    reasons |= {row: reason for row, reason in enumerate(cache.reasons) if reason is not None}
    examples = [
        replace(example, digest=cache.digests[example.row]) for example in examples if example.row not in reasons
    ]
    reasons |= _find_contradictions(root, examples)
    reasons |= _find_copies(root, [example for example in examples if example.row not in reasons])
    examples = [example for example in examples if example.row not in reasons]

    wanted: dict[Split, float] = {} if "valid" in given else {"test": test_share, "valid": valid_share}
    shares = {split: share for split, share in wanted.items() if split not in given and share > 0}
    made = split_examples([example for example in examples if example.split == "train"], shares, split_seed)
    examples = [replace(example, split=made.get(example.row, example.split)) for example in examples]
    _check_splits(root, examples, classes, {*(given or {"train"}), *shares}, given)
    left_out = tuple(LeftOut(paths[row], reasons[row]) for row in sorted(reasons))
    fingerprint = _take_fingerprint(root, examples)
    return Dataset(root, tuple(positive), classes, tuple(examples), left_out, fingerprint, cache.pixels)


def read_dataset(
    record: Mapping[str, Any],
    *,
    image_size: int,
    fit: Fit,
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
        left_out = tuple(LeftOut(root / row["path"], row["reason"]) for row in record["left_out"])
        positive, classes = tuple(record["positive"]), (record["classes"][0], record["classes"][1])
        fingerprint = str(record["fingerprint"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError("The list of photos in the run (dataset.json) is damaged: train again.") from error
    # All photos in the order of training, not only those asked for, so that the cache made for training serves.
    paths = [example.path for example in found] + [photo.path for photo in left_out]
    paths.sort(key=lambda path: path.parts)
    cache = build_cache(paths, image_size, fit, root=cache_root, progress=progress)
    rows = {path: row for row, path in enumerate(paths)}
    examples = tuple(replace(example, row=rows[example.path]) for example in found if example.split in splits)
    changed = [example.path for example in examples if cache.digests[example.row] != example.digest]
    if changed:
        what = "has changed since training" if changed[0].exists() else "is missing"
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        name = changed[0].relative_to(root).as_posix()
        raise DataError(f"A photo {what} in {root}: {name}{others}. Bring it back as it was, or train again.")
    return Dataset(root, positive, classes, examples, left_out, fingerprint, cache.pixels)


def split_examples(examples: Iterable[Example], shares: Mapping[Split, float], seed: int) -> dict[int, Split]:
    """Row -> split: stratified by label and subclass, with exact copies together.

    Within a stratum the order is that of hash(seed, digest), valid taken from one end and test from the other, so a
    photo added later moves few others, and none between valid and test. Shares count distinct pictures. A stratum
    of three or more gets into every split; smaller ones are thrown together, label by label.
    """
    copies: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        copies[example.digest].append(example)
    strata: dict[tuple[int, str], list[str]] = defaultdict(list)
    for digest, same in copies.items():
        strata[min((example.label, example.subclass) for example in same)].append(digest)
    for kind in [kind for kind, digests in strata.items() if len(digests) < 3]:
        strata[kind[0], ""] += strata.pop(kind)
    made: dict[int, Split] = {}
    for digests in strata.values():
        digests.sort(key=lambda digest: hashlib.blake2b(f"{seed} {digest}".encode()).digest())
        test, valid = _share_out(len(digests), shares.get("test", 0), shares.get("valid", 0))
        for place, digest in enumerate(digests):
            split: Split = "valid" if place < valid else "test" if place >= len(digests) - test else "train"
            made |= {example.row: split for example in copies[digest]}
    return made


def _builtin_scenes(progress: Progress | None) -> Path:
    from bearcnn.scenes import builtin_scenes  # not at the top: with photos of one's own nothing is drawn

    return builtin_scenes(cache_root(), progress)


def _share_out(number: int, *shares: float) -> tuple[int, ...]:
    """How many of `number` each share gets; of three or more each gets one, and one is left over."""
    parts = [round(number * share) for share in shares]
    if number >= 3:
        parts = [max(1, part) if share else 0 for part, share in zip(parts, shares, strict=True)]
        while sum(parts) >= number:
            parts[parts.index(max(parts))] -= 1
    return tuple(parts)


def _find(root: Path) -> list[Path]:
    if not root.exists():
        raise DataError(f"There is no folder {root}: check the path of the data (--data).")
    if not root.is_dir():
        raise DataError(f"{root} is a file: the data must be a folder with one folder of photos for each class.")
    paths = list(find_photos(root))
    if not paths:
        raise DataError(f"There is no photo (jpg, png, webp, gif, bmp, tiff, ...) in {root}: check the path (--data).")
    return paths


def _label(root: Path, paths: list[Path], positive: Sequence[str]) -> tuple[list[Example], dict[int, str], set[Split]]:
    """The examples by their folders alone, in their given split or else in train; reasons by row; the given splits."""
    words = {word.casefold(): word for word in positive}
    places = _drop_shared_folders([path.relative_to(root).parts[:-1] for path in paths], words)
    tops = [_SPLIT_FOLDERS.get(place[0].casefold()) if place else None for place in places]
    # A folder "train" without a positive folder in it is a class: trains are photographed, too.
    inside = any(
        top and any(name.casefold() in words for name in place) for top, place in zip(tops, places, strict=True)
    )
    given: set[Split] = {top for top in tops if top} if inside else set()
    examples: list[Example] = []
    reasons: dict[int, str] = {}
    for row, (path, place, top) in enumerate(zip(paths, places, tops, strict=True)):
        if given and top is None:
            reasons[row] = "outside the folders train, valid and test"
        elif not (folders := place[1:] if given else place):
            reasons[row] = "not in a class folder"
        else:
            examples.append(
                Example(path, *_name_kind(folders, words), split=(given and top) or "train", row=row, digest="")
            )
    _check_labels(root, examples, places, words)
    return examples, reasons, given


def _drop_shared_folders(places: list[Place], words: Mapping[str, str]) -> list[Place]:
    """The places without folders that all photos are in, such as the one an archive was unpacked into."""
    while all(len(place) > 1 for place in places) and len({place[0] for place in places}) == 1:
        name = places[0][0]
        if name.casefold() in {*_SPLIT_FOLDERS, *words} or _is_wrapper(name, words):
            break
        places = [place[1:] for place in places]
    return places


def _name_kind(place: Place, words: Mapping[str, str]) -> tuple[int, str]:
    """Label and subclass of a photo in these folders."""
    for depth, name in enumerate(place):
        if name.casefold() in words:
            return 1, place[depth + 1] if depth + 1 < len(place) else words[name.casefold()]
    return 0, next((name for name in place if not _is_wrapper(name, words)), place[0])


def _is_wrapper(name: str, words: Mapping[str, str]) -> bool:
    """Whether a folder says no more than that what is in it is negative: not_bear, no-bear, Not Bear, others, ..."""
    plain = re.sub(r"[\s_-]+", "_", name.casefold())
    negation, _, rest = plain.partition("_")
    return plain in ("negative", "negatives", "other", "others") or (negation in ("not", "no", "non") and rest in words)


def _check_labels(root: Path, examples: list[Example], places: list[Place], words: Mapping[str, str]) -> None:
    labels = {example.label for example in examples}
    positive = next(iter(words.values()))
    if not labels:
        raise DataError(
            f"The photos in {root} are in no class folders: put those of a {positive} into {root / positive} "
            f"and the others into {root / f'not_{positive}'}."
        )
    if labels == {1}:
        raise DataError(f"All photos in {root} are in a folder called {positive}: others are needed, too.")
    if labels == {0}:
        names = sorted({name for place in places for name in place if name.casefold() not in _SPLIT_FOLDERS})
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        candidates = [name for name in names if not re.match(r"(not|no|non)[\s_-]", name.casefold())] or names
        near = {name for name in candidates if any(word in name.casefold() for word in words)}
        for word in words:
            near |= set(difflib.get_close_matches(word, candidates, cutoff=0.7))
        example = json.dumps(sorted(near)[:5] or candidates[:1], ensure_ascii=False)
        raise DataError(
            f"No folder in {root} is called {' or '.join(words.values())} (found: {shown}): say which are positive, "
            f"such as data.positive = {example}."
        )


def _find_contradictions(root: Path, examples: list[Example]) -> dict[int, str]:
    """Row -> reason for photos of which a copy has the other label: nobody knows which is right."""
    first: dict[tuple[str, int], Example] = {}
    for example in examples:
        first.setdefault((example.digest, example.label), example)
    twins = [(example, first.get((example.digest, 1 - example.label))) for example in examples]
    return {
        example.row: f"its exact copy {twin.path.relative_to(root).as_posix()} has the other label"
        for example, twin in twins
        if twin is not None
    }


def _find_copies(root: Path, examples: list[Example]) -> dict[int, str]:
    """Row -> reason for photos of which a copy is in a split that must stay unseen: test first, then valid."""
    last: dict[str, Example] = {}
    for example in sorted(examples, key=lambda example: SPLITS.index(example.split), reverse=True):
        last.setdefault(example.digest, example)
    twins = [(example, last[example.digest]) for example in examples]
    return {
        example.row: f"exact copy of {twin.path.relative_to(root).as_posix()} in the {twin.split} split"
        for example, twin in twins
        if twin.split != example.split
    }


def _check_splits(
    root: Path, examples: list[Example], classes: tuple[str, str], splits: set[Split], given: set[Split]
) -> None:
    found = Counter((example.split, example.label) for example in examples)
    for split in [split for split in SPLITS if split in splits]:
        for label, name in enumerate(classes):
            if found[split, label]:
                continue
            distinct = len({example.digest for example in examples if example.label == label})
            mend = f"at least 3 different photos of each class are needed, and {name} has {distinct}"
            raise DataError(
                f"The {split} split of {root} has no usable photo of {name}: "
                + (f"put some into its folder {split}." if split in given else f"{mend}.")
            )


def _take_fingerprint(root: Path, examples: list[Example]) -> str:
    rows = [(each.path.relative_to(root).as_posix(), each.digest, each.label, each.split) for each in examples]
    return hashlib.blake2b(json.dumps(sorted(rows)).encode(), digest_size=16).hexdigest()
