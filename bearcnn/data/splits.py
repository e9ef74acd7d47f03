"""Splits: photos for training, validation and test, and photos that can't be used beside others."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from bearcnn.data.names import readable
from bearcnn.errors import DataError

Split = Literal["train", "valid", "test", "unused"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
"""The splits that are used; unused are training photos that a run with few of them didn't draw."""

SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The names of folders that are splits, in lower case."""

FOLDS = "folds"
"""The name, beside those of the splits, for training photos that are scored by cross-validation (`cut_folds`)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled photo."""

    path: Path
    label: int  # 1 for the positive class
    subclass: str  # such as "brown" or "wolf"
    split: Split
    row: int  # in the pixels of the data set
    digest: str  # of the file's bytes
    site: str | None = None  # the camera's place
    sequence: str | None = None  # the burst that it belongs to, as its source says
    taken: datetime | None = None  # on the camera's clock
    group: str | None = None  # the photos that must be in one split; None if that is this one and its exact copies

    @property
    def unit(self) -> str:
        """The name of the photos that are never in two splits."""
        return self.group or self.digest


def split_examples(examples: Iterable[Example], shares: Mapping[Split, float], seed: int) -> dict[int, Split]:
    """Assign rows to splits, stratified by label and subclass, with small groups and exact copies in one split.

    Within a stratum the order is that of hash(seed, digest). Valid is taken from one end and test from the other: a
    photo added later moves few others, and none between valid and test. Shares count groups: a photo alone is one.
    Every split gets a part of a stratum of three or more; smaller strata are merged within their label.
    """
    units, strata = _stratify(examples, seed)
    for stratum in [stratum for stratum, digests in strata.items() if len(digests) < 3]:
        merged = strata[stratum[0], ""] + strata.pop(stratum)
        strata[stratum[0], ""] = _in_order(merged, seed)
    made: dict[int, Split] = {}
    for digests in strata.values():
        test, valid = _share_out(len(digests), shares.get("test", 0), shares.get("valid", 0))
        for place, digest in enumerate(digests):
            split: Split = "valid" if place < valid else "test" if place >= len(digests) - test else "train"
            made |= {example.row: split for example in units[digest]}
    return made


def cut_folds(examples: Iterable[Example], folds: int, seed: int, classes: tuple[str, str]) -> dict[int, int]:
    """Assign rows to folds, 0 to `folds` - 1, stratified by label and subclass, small groups and copies in one fold.

    The groups are dealt out in turn, a stratum after the other, each in the order of `split_examples`. Of all groups,
    of each label's and of each subclass's, no fold gets two more than another. A photo alone is a group.

    Raises:
        DataError: a class has fewer groups than there are folds.
    """
    units, strata = _stratify(examples, seed)
    numbers = [sum(len(digests) for (of, _), digests in strata.items() if of == label) for label in (0, 1)]
    fewest = min(numbers)
    if fewest < folds:
        name = classes[numbers.index(fewest)]
        most = f"at most {fewest} folds are possible" if fewest > 1 else "cross-validation isn't possible"
        raise DataError(f"{folds} folds need {folds} different photos of each class, and {name} has {fewest}: {most}")
    dealt = [digest for stratum in sorted(strata) for digest in strata[stratum]]
    return {example.row: place % folds for place, digest in enumerate(dealt) for example in units[digest]}


def _stratify(
    examples: Iterable[Example], seed: int
) -> tuple[dict[str, list[Example]], dict[tuple[int, str], list[str]]]:
    """Return each group by its first digest, and these digests by label and subclass in the seed's order.

    A group with a positive photo is in the stratum of that.
    """
    members: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        members[example.unit].append(example)
    units = {min(example.digest for example in group): group for group in members.values()}
    strata: dict[tuple[int, str], list[str]] = defaultdict(list)
    for digest, group in units.items():
        label = max(example.label for example in group)
        strata[label, min(example.subclass for example in group if example.label == label)].append(digest)
    return units, defaultdict(list, {stratum: _in_order(digests, seed) for stratum, digests in strata.items()})


def _in_order(digests: list[str], seed: int) -> list[str]:
    return sorted(digests, key=lambda digest: hashlib.blake2b(f"{seed} {digest}".encode()).digest())


def _share_out(number: int, *shares: float) -> tuple[int, ...]:
    """Return each share's part of `number`; of three or more, each share gets at least one, and one is left over."""
    parts = [round(number * share) for share in shares]
    if number >= 3:
        parts = [max(1, part) if share else 0 for part, share in zip(parts, shares, strict=True)]
        while sum(parts) >= number:
            parts[parts.index(max(parts))] -= 1
    return tuple(parts)


def draw_training(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """Keep about `count` training photos, classes in proportion and each at least once; the others become unused.

    The order in which a class's photos are drawn follows from the seed and the photos' digests: with one seed, the
    photos of a smaller draw are a part of those of a larger one.
    """
    train = [example for example in examples if example.split == "train"]
    if len(train) <= count:
        return tuple(examples)
    positives = sum(example.label for example in train)
    wanted = min(max(1, round(count * positives / len(train))), count - 1)
    kept: set[int] = set()
    for label, number in ((0, count - wanted), (1, wanted)):
        of_class = [example for example in train if example.label == label]
        of_class.sort(key=lambda each: (hashlib.blake2b(f"draw {seed} {each.digest}".encode()).digest(), each.path))
        kept |= {example.row for example in of_class[:number]}
    return tuple(
        replace(example, split="unused") if example.split == "train" and example.row not in kept else example
        for example in examples
    )


def find_contradictions(root: Path, examples: list[Example]) -> dict[int, str]:
    """Return the reason, by row, for photos with an exact copy of the other label: either may be wrong."""
    first: dict[tuple[str, int], Example] = {}
    for example in examples:
        first.setdefault((example.digest, example.label), example)
    twins = [(example, first.get((example.digest, 1 - example.label))) for example in examples]
    return {
        example.row: f"its exact copy {readable(twin.path.relative_to(root).as_posix())} has the other label"
        for example, twin in twins
        if twin is not None
    }


def find_copies(root: Path, examples: list[Example]) -> dict[int, str]:
    """Return the reason, by row, for photos with an exact copy in a later split, which must stay unseen."""
    last: dict[str, Example] = {}
    for example in sorted(examples, key=lambda example: SPLITS.index(example.split), reverse=True):
        last.setdefault(example.digest, example)
    twins = [(example, last[example.digest]) for example in examples]
    return {
        example.row: f"exact copy of {readable(twin.path.relative_to(root).as_posix())} in the {twin.split} split"
        for example, twin in twins
        if twin.split != example.split
    }


def check_splits(root: Path, examples: list[Example], classes: tuple[str, str], splits: Collection[Split]) -> None:
    """Check that each of these splits has photos of both classes.

    Raises:
        DataError: one of the splits lacks a class.
    """
    found = Counter((example.split, example.label) for example in examples)
    for split in [split for split in SPLITS if split in splits]:
        for label, name in enumerate(classes):
            if found[split, label]:
                continue
            distinct = len({example.digest or example.path for example in examples if example.label == label})
            raise DataError(
                f"the {split} split of {root} has no usable photo of {name}: add some; new splits need at least 3 "
                f"different photos of each class, and {name} has {distinct} in total"
            )
