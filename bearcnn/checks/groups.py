"""Groups of a collection's photos: by split, class, and site or subclass."""

import random
from collections import defaultdict
from dataclasses import dataclass

from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.data.splits import SPLITS

UNUSED, UNLABELLED = "not used", "unlabelled"
"""The names of the split and of the class of photos that have none."""


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one split, class and site or subclass."""

    split: str
    label: str
    name: str
    photos: tuple[CollectedPhoto, ...]

    def sample(self, count: int, seed: int) -> list[CollectedPhoto]:
        """Return at most so many of the photos, drawn by the seed, in the order of their names."""
        if len(self.photos) <= count:
            return list(self.photos)
        drawn = random.Random(f"{seed} {self.split} {self.label} {self.name}").sample(self.photos, count)
        return sorted(drawn, key=lambda photo: photo.row)


def group_photos(collection: Collection) -> list[Group]:
    """Return the groups of all photos: splits in their order, the positive class first, then by name."""
    found: dict[tuple[int, str, int, str, str], list[CollectedPhoto]] = defaultdict(list)
    for photo in collection.photos:
        place = len(SPLITS) if photo.split is None else SPLITS.index(photo.split)
        label = UNLABELLED if photo.label is None else collection.classes[photo.label]
        order = 2 if photo.label is None else 1 - photo.label
        found[place, photo.split or UNUSED, order, label, photo.site or photo.subclass].append(photo)
    return [Group(split, label, name, tuple(found[key])) for key in sorted(found) for _, split, _, label, name in [key]]


def count_groups(collection: Collection) -> dict[str, dict[str, dict[str, int]]]:
    """Count the photos: split -> class -> site or subclass -> number."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for group in group_photos(collection):
        counts.setdefault(group.split, {}).setdefault(group.label, {})[group.name] = len(group.photos)
    return counts
