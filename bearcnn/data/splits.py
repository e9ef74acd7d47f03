"""Splits: photos for training, validation and test, and photos that can't be used beside others."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bearcnn.data.names import readable
from bearcnn.errors import DataError

Split = Literal["train", "valid", "test", "unused"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
"""The splits that are used; unused are training photos that a run with few of them didn't draw."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled photo."""

    path: Path
    label: int  # 1 for the positive class
    subclass: str  # such as "brown" or "wolf"
    split: Split
    row: int  # in the pixels of the data set
    digest: str  # of the file's bytes


def split_examples(examples: Iterable[Example], shares: Mapping[Split, float], seed: int) -> dict[int, Split]:
    """Assign rows to splits, stratified by label and subclass, with exact copies in one split.

    Within a stratum the order is that of hash(seed, digest). Valid is taken from one end and test from the other: a
    photo added later moves few others, and none between valid and test. Shares count distinct pictures. Every split
    gets a part of a stratum of three or more; smaller strata are merged within their label.
    """
    copies: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        copies[example.digest].append(example)
    strata: dict[tuple[int, str], list[str]] = defaultdict(list)
    for digest, same in copies.items():
        strata[min((example.label, example.subclass) for example in same)].append(digest)
    for stratum in [stratum for stratum, digests in strata.items() if len(digests) < 3]:
        strata[stratum[0], ""] += strata.pop(stratum)
    made: dict[int, Split] = {}
    for digests in strata.values():
        digests.sort(key=lambda digest: hashlib.blake2b(f"{seed} {digest}".encode()).digest())
        test, valid = _share_out(len(digests), shares.get("test", 0), shares.get("valid", 0))
        for place, digest in enumerate(digests):
            split: Split = "valid" if place < valid else "test" if place >= len(digests) - test else "train"
            made |= {example.row: split for example in copies[digest]}
    return made


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
