"""Checks of the numbers: whether both classes are there, how many photos they have, and what these can prove."""

import math
from collections import Counter
from collections.abc import Iterator

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.evaluation.formats import percent, target_percent
from bearcnn.evaluation.intervals import photos_to_prove, proportion
from bearcnn.evaluation.wording import PHOTOS

FEW = 50
"""Photos of a class below which they are few."""

RARE = 0.05
"""Share of the photos below which a class is rare."""

_TARGET_RECALL = 0.98
_LEAST_SHARE, _TIMES = 0.1, 10
"""A property gives a class away if so much of the class has it, and so many times as much as of the other class."""


def find_untrainable(collection: Collection) -> Iterator[Finding]:
    """Find the reason why training would refuse the collection."""
    if collection.problem is not None and collection.labelled:
        yield Finding(collection.problem)


def find_missing_labels(collection: Collection) -> Iterator[Finding]:
    """Find the reason why no photo has a label."""
    if collection.problem is not None and not collection.labelled:
        yield Finding(collection.problem)


def find_imbalance(collection: Collection) -> Iterator[Finding]:
    """Find classes with few photos, or with few beside the other."""
    counts = Counter(photo.label for photo in _labelled(collection))
    for label, name in enumerate(collection.classes):
        if not collection.labelled or counts[label] >= max(FEW, RARE * counts.total()):
            continue
        share = percent(counts[label] / counts.total()) if counts.total() else "none"
        yield Finding(f"{name}: {counts[label]:,} of {counts.total():,} photos ({share})")


def find_certainty(collection: Collection) -> Iterator[Finding]:
    """Say which recall the scored split can prove, if the model finds every positive in it."""
    assert collection.dataset is not None
    split, positive = collection.dataset.evaluation_split(), collection.classes[1]
    bears = sum(example.label for example in collection.dataset.select(split))
    needed = photos_to_prove(_TARGET_RECALL)
    what = f"{bears:,} {PHOTOS[split]} with a {positive}"
    if bears >= needed:
        yield Finding(f"a model that finds all {what} is proven to find {target_percent(_TARGET_RECALL)} or more")
        return
    low = proportion(bears, bears).low or 0.0
    # Rounded down: what isn't proven must not be claimed.
    text = f"a model that finds all {what} is proven to find {math.floor(100 * low)}% or more"
    text += f"; {needed:,} would prove {target_percent(_TARGET_RECALL)}"
    positives = sum(example.label for example in collection.dataset.examples)
    if split == "valid" and positives >= 2 * bears:
        text += f" (bearcnn train --folds 5 scores all {positives:,})"
    yield Finding(text)


def find_giveaways(collection: Collection) -> Iterator[Finding]:
    """Find properties, other than the animals, that nearly all photos with them have in one class."""
    photos = _labelled(collection)
    totals = Counter(photo.label for photo in photos)
    if len(totals) < 2:
        return
    counts = Counter((photo.label, each) for photo in photos for each in _properties(collection, photo))
    for words in sorted({words for _, words in counts}):
        shares = {label: counts[label, words] / totals[label] for label in (1, 0)}
        high, low = max(shares.values()), min(shares.values())
        if high >= _LEAST_SHARE and high >= _TIMES * low and max(counts[label, words] for label in (0, 1)) >= _TIMES:
            each = ", ".join(f"{percent(share)} of {collection.classes[label]}" for label, share in shares.items())
            yield Finding(f"{words}: {each}")


def _labelled(collection: Collection) -> list[CollectedPhoto]:
    return [photo for photo in collection.readable if photo.label is not None]


def _properties(collection: Collection, photo: CollectedPhoto) -> Iterator[str]:
    """Yield, in words, how a photo was made."""
    if collection.measures.grey[photo.row]:
        yield "infrared or black-and-white"
    details = photo.details
    if details.format:
        yield f"{details.format} files"
        yield f"{details.width}x{details.height} px"
    if details.metadata.camera:
        yield f"taken by {details.metadata.camera}"
    if photo.site is not None:
        yield f"taken at site {photo.site}"
