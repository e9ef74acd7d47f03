"""Folders -> labelled examples: what is in a photo, which photos can't be used, and which split each is in.

Everything is decided from the paths below a folder and from the bytes of the photos. It must not import torch.
"""

import difflib
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bearcnn.data.photos import find_photos
from bearcnn.errors import DataError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_SPLIT_FOLDERS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}

Place = tuple[str, ...]  # the folders that a photo lies in, below the root


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled photo."""

    path: Path
    label: int  # 1 for the positive class
    subclass: str  # what kind of bear, or of something else
    split: Split
    row: int  # in the pixels of the data set
    digest: str  # of the file's bytes


def list_photos(root: Path) -> list[Path]:
    """All photos of a data folder; DataError if there is no such folder, or no photo in it."""
    if not root.exists():
        raise DataError(f"There is no folder {root}: check the path of the data (--data).")
    if not root.is_dir():
        raise DataError(f"{root} is a file: the data must be a folder with one folder of photos for each class.")
    paths = list(find_photos(root))
    if not paths:
        raise DataError(f"There is no photo (jpg, png, webp, gif, bmp, tiff, ...) in {root}: check the path (--data).")
    return paths


def label_photos(
    root: Path, paths: list[Path], positive: Sequence[str]
) -> tuple[list[Example], dict[int, str], set[Split]]:
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
            f"such as --set 'data.positive={example}'."
        )


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


def _share_out(number: int, *shares: float) -> tuple[int, ...]:
    """How many of `number` each share gets; of three or more each gets one, and one is left over."""
    parts = [round(number * share) for share in shares]
    if number >= 3:
        parts = [max(1, part) if share else 0 for part, share in zip(parts, shares, strict=True)]
        while sum(parts) >= number:
            parts[parts.index(max(parts))] -= 1
    return tuple(parts)


def find_contradictions(root: Path, examples: list[Example]) -> dict[int, str]:
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


def find_copies(root: Path, examples: list[Example]) -> dict[int, str]:
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


def check_splits(
    root: Path, examples: list[Example], classes: tuple[str, str], splits: set[Split], given: set[Split]
) -> None:
    """Raise DataError if a split lacks one of the classes."""
    found = Counter((example.split, example.label) for example in examples)
    for split in [split for split in SPLITS if split in splits]:
        for label, name in enumerate(classes):
            if found[split, label]:
                continue
            distinct = len({example.digest for example in examples if example.label == label})
            fix = f"at least 3 different photos of each class are needed, and {name} has {distinct}"
            raise DataError(
                f"The {split} split of {root} has no usable photo of {name}: "
                + (f"put some into its folder {split}." if split in given else f"{fix}.")
            )
