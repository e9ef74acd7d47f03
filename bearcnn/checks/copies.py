"""Checks for the same picture in several files: exact copies, and near copies by a perceptual hash.

Each photo is in one of these checks at most: where labels differ, else where splits differ, else the others.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.data.near_copies import HASH_SIDE, SAME_EVENT
from bearcnn.data.splits import SPLITS, Split

_MOST_COMPARED = 500
"""Near copies before a photo that are searched for the one most like it: a burst of thousands has it among them."""

Photos = Sequence[CollectedPhoto]


def find_copies_of_other_label(collection: Collection) -> Iterator[Finding]:
    """Find exact copies with different labels, of which training can use neither."""
    for photos in collection.copies:
        if _labels_differ(photos):
            labelled = [photo for photo in photos if photo.label is not None]
            for photo in labelled:
                other = next(each for each in labelled if each.label != photo.label)
                yield Finding(_name_labels(collection, photo, other), photo, other)


def find_copies_across_splits(collection: Collection) -> Iterator[Finding]:
    """Find exact copies of photos in a later split, which training skips."""
    for photos in collection.copies:
        last = max(photos, key=lambda photo: _place(photo.given_split))
        if not _labels_differ(photos):
            for photo in photos:
                if photo.given_split is not None and photo.given_split != last.given_split:
                    yield Finding(f"in {photo.given_split}, its copy in {last.given_split}", photo, last)


def find_copies(collection: Collection) -> Iterator[Finding]:
    """Find exact copies with the same label in the same split."""
    for photos in collection.copies:
        if not _labels_differ(photos):
            first: dict[Split | None, CollectedPhoto] = {}
            for photo in photos:
                if first.setdefault(photo.given_split, photo) is not photo:
                    yield Finding("the same bytes", photo, first[photo.given_split])


def find_near_copies_of_other_label(collection: Collection) -> Iterator[Finding]:
    """Find photos that look the same with different labels.

    Two that were taken at different times are no copies: an animal may have come or gone between them.
    """
    for photos in collection.look_alikes:
        yield from _differ_in_label(collection, photos)


def find_near_copies_across_splits(collection: Collection) -> Iterator[Finding]:
    """Find photos that look the same as one in a later split."""
    for photos in collection.look_alikes:
        named = {finding.photo.row for finding in _differ_in_label(collection, photos) if finding.photo}
        yield from (each for each in _differ_in_split(collection, photos) if each.photo and each.photo.row not in named)


def find_near_copies_within(collection: Collection) -> Iterator[Finding]:
    """Find photos that look the same as one before them, with the same label in the same split."""
    for photos in collection.look_alikes:
        elsewhere = [*_differ_in_label(collection, photos), *_differ_in_split(collection, photos)]
        named = {finding.photo.row for finding in elsewhere if finding.photo}
        left = [photo for photo in photos if photo.row not in named]
        for place, photo in enumerate(left[1:], 1):
            found = _Candidates(collection, left[max(0, place - _MOST_COMPARED) : place]).nearest(photo)
            yield Finding(_explain(photo, found), photo, found.photo)


class _Nearest(NamedTuple):
    photo: CollectedPhoto
    bits: int  # in which its hash differs


class _Candidates:
    """Photos among which the one most like another is looked for."""

    def __init__(self, collection: Collection, photos: Photos) -> None:
        self._photos, self._all = photos, collection.measures.hashes
        self._hashes = self._all[[photo.row for photo in photos]]

    def nearest(self, photo: CollectedPhoto) -> _Nearest:
        bits = np.bitwise_count(self._hashes ^ self._all[photo.row]).sum(axis=1)
        place = int(bits.argmin())
        return _Nearest(self._photos[place], int(bits[place]))


def _differ_in_label(collection: Collection, photos: Photos) -> Iterator[Finding]:
    if not _labels_differ(photos):
        return
    others = {
        label: _Candidates(collection, [photo for photo in photos if photo.label == 1 - label]) for label in (0, 1)
    }
    for photo in photos:
        if photo.label is None:
            continue
        found = others[photo.label].nearest(photo)
        if found.bits <= SAME_EVENT and not _were_taken_apart(photo, found.photo):
            reason = f"{_name_labels(collection, photo, found.photo)}; {_explain(photo, found)}"
            yield Finding(reason, photo, found.photo)


def _differ_in_split(collection: Collection, photos: Photos) -> Iterator[Finding]:
    by_split: dict[int, list[CollectedPhoto]] = defaultdict(list)
    for photo in photos:
        if photo.split is not None:
            by_split[_place(photo.split)].append(photo)
    if len(by_split) < 2:
        return
    later = {
        place: _Candidates(collection, [photo for other in by_split if other > place for photo in by_split[other]])
        for place in by_split
        if place < max(by_split)
    }
    for photo in photos:
        if _place(photo.split) not in later:
            continue
        found = later[_place(photo.split)].nearest(photo)
        if found.bits <= SAME_EVENT:
            reason = f"in {photo.split}, the other in {found.photo.split}; {_explain(photo, found)}"
            yield Finding(reason, photo, found.photo)


def _labels_differ(photos: Photos) -> bool:
    return {0, 1} <= {photo.label for photo in photos}


def _name_labels(collection: Collection, photo: CollectedPhoto, other: CollectedPhoto) -> str:
    assert photo.label is not None and other.label is not None
    return f"labelled {collection.classes[photo.label]}, the other {collection.classes[other.label]}"


def _place(split: Split | None) -> int:
    return -1 if split is None else SPLITS.index(split)


def _were_taken_apart(photo: CollectedPhoto, other: CollectedPhoto) -> bool:
    return photo.taken is not None and other.taken is not None and photo.taken != other.taken


def _explain(photo: CollectedPhoto, found: _Nearest) -> str:
    if _were_taken_apart(photo, found.photo):
        assert photo.taken is not None and found.photo.taken is not None
        return f"taken {_words(abs((photo.taken - found.photo.taken).total_seconds()))} apart"
    return f"{found.bits} of {HASH_SIDE**2} bits differ"


def _words(seconds: float) -> str:
    """Return a time span in one unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
