"""Splits and folds of large or mixed groups, stratified as far as whole groups allow (scikit-learn)."""

import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from bearcnn.data.splits import Example

_MOST_DIVIDED = 8
"""The most folds of which every division into splits is tried: 3 ** 8 = 6,561."""

_AS_GOOD = 0.02
"""Divisions whose shares are off by this much more than the best one's are as good: the seed decides among them."""

_SUBCLASSES_COUNT = 0.25
"""The weight of the subclasses' shares beside those of all photos and of each class."""


def divide(examples: Sequence[Example], shares: Sequence[float], seed: int) -> NDArray[np.int64] | None:
    """Return the part of each example, 0 for the rest and 1, 2, ... for `shares`, (n,): no group is in two parts.

    Several divisions of the groups into folds are tried. Of those with photos of both classes in each part, the one
    whose parts come nearest to their shares of all photos, of each class and of each subclass is chosen. None if there
    is no such division.
    """
    groups, strata, labels = _code(examples)
    number, most = int(groups.max()) + 1, int(np.bincount(labels).max())
    if min(number, most) <= len(shares) or len(set(labels)) < 2:
        return None
    wanted = np.array([1 - sum(shares), *shares])
    best: tuple[float, NDArray[np.int64]] | None = None
    # Fewer, even folds fit best where there are many groups, more folds where groups are few and uneven.
    choices = {_count_folds(shares, number), min(number, _MOST_DIVIDED)}
    # Unless a group is a fold, photos are spread over folds: at most as many as there are of the larger class.
    for folds in sorted({folds if number <= folds else min(folds, most) for folds in choices}):
        assignments = _list_assignments(folds, shares)
        for trial in range(_count_trials(number, folds)):
            random = np.random.default_rng([seed, folds, trial])
            fold = _make_folds(groups, _merge_rare(strata, labels, folds), folds, random)
            costs = _measure(assignments, wanted, _count(fold, strata, folds), _count(fold, labels, folds))
            cost = float(costs.min())
            if np.isfinite(cost) and (best is None or cost < best[0]):
                chosen = random.choice(np.flatnonzero(costs <= cost + _AS_GOOD))
                best = cost, assignments[chosen][fold]
    return None if best is None else best[1]


def deal(examples: Sequence[Example], folds: int, seed: int) -> NDArray[np.int64] | None:
    """Return the fold of each example, (n,): no group is in two folds, and each fold has photos of both classes.

    Of several tries, the one with the most even folds is chosen. None if none gives both classes to each fold.
    """
    groups, strata, labels = _code(examples)
    number = int(groups.max()) + 1
    if number < folds or np.bincount(labels, minlength=2).min() < folds:
        return None
    best: tuple[float, NDArray[np.int64]] | None = None
    for trial in range(_count_trials(number, folds)):
        fold = _make_folds(groups, _merge_rare(strata, labels, folds), folds, np.random.default_rng([seed, trial]))
        counts = _count(fold, labels, folds)
        cost = float(np.abs(counts / counts.sum(axis=0) - 1 / folds).sum())
        if counts.min() > 0 and (best is None or cost < best[0]):
            best = cost, fold
    return None if best is None else best[1]


def _code(examples: Sequence[Example]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of each example's group and stratum, and its label, each (n,), whatever the examples' order.

    Groups are numbered by their first digest: moved or renamed photos are split as they were.
    """
    first: dict[str, str] = {}
    for example in examples:
        first[example.unit] = min(first.get(example.unit, example.digest), example.digest)
    number = {unit: place for place, unit in enumerate(sorted(first, key=lambda unit: (first[unit], unit)))}
    names = sorted({(example.label, example.subclass) for example in examples})
    strata = [names.index((example.label, example.subclass)) for example in examples]
    groups, labels = [number[example.unit] for example in examples], [example.label for example in examples]
    return np.array(groups, np.int64), np.array(strata, np.int64), np.array(labels, np.int64)


def _merge_rare(strata: NDArray[np.int64], labels: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Merge the strata of a class that have fewer photos than there are folds: each would weigh as much as a large one.

    The number of a merged stratum is -1 or -2.
    """
    counts = Counter(strata.tolist())
    rare = np.array([counts[stratum] < folds for stratum in strata.tolist()])
    return np.where(rare, -1 - labels, strata)


def _count_folds(shares: Sequence[float], groups: int) -> int:
    """Choose the number of folds whose whole numbers come nearest to the shares; few groups are a fold each."""
    if groups <= _MOST_DIVIDED:
        return groups
    possible: list[int] = [
        *range(len(shares) + 1, _MOST_DIVIDED + 1),
        *(min(round(1 / share), groups) for share in shares),
    ]

    def distance(folds: int) -> tuple[float, int]:
        parts = [max(1, round(share * folds)) for share in shares]
        off = sum(abs(part / folds - share) for part, share in zip(parts, shares, strict=True))
        return off + (sum(parts) >= folds), folds  # one fold at least is left for training

    return min((folds for folds in possible if folds <= groups), key=distance)


def _count_trials(groups: int, folds: int) -> int:
    """Choose how often to make folds, within about half a second: of many groups, one try is as good as any."""
    if groups <= folds <= _MOST_DIVIDED:
        return 1
    return min(10, max(1, 4_000 // (groups * folds)))


def _list_assignments(folds: int, shares: Sequence[float]) -> NDArray[np.int64]:
    """List divisions of folds into parts, each (folds,): all of them, or of many folds those of neighbours."""
    if folds <= _MOST_DIVIDED:
        return np.array(list(product(range(len(shares) + 1), repeat=folds)), np.int64)
    parts = np.zeros(folds, np.int64)
    start = 0
    for part, share in enumerate(shares, 1):
        parts[start : (start := start + max(1, round(share * folds)))] = part
    return np.array([np.roll(parts, shift) for shift in range(folds)])


def _make_folds(
    groups: NDArray[np.int64], strata: NDArray[np.int64], folds: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return the fold of each photo, (n,)."""
    if groups.max() < folds:  # a group is a fold
        return random.permutation(folds)[groups]
    folder = StratifiedGroupKFold(folds, shuffle=True, random_state=int(random.integers(2**32)))
    fold = np.zeros(len(groups), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a stratum with few photos: known
        for number, (_, rows) in enumerate(folder.split(groups, strata, groups)):
            fold[rows] = number
    return fold


def _count(fold: NDArray[np.int64], kinds: NDArray[np.int64], folds: int) -> NDArray[np.float64]:
    """Count the photos of each fold and kind, (folds, kinds)."""
    counts = np.zeros((folds, kinds.max() + 1))
    np.add.at(counts, (fold, kinds), 1)
    return counts


def _measure(
    assignments: NDArray[np.int64],
    wanted: NDArray[np.float64],
    strata: NDArray[np.float64],
    labels: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how far each assignment's parts are from the wanted shares, (assignments,); infinite without a class.

    `strata` and `labels` are counts, (folds, kinds).
    """
    inside = assignments[:, None, :] == np.arange(len(wanted))[:, None]  # (assignments, parts, folds)
    of_labels = inside @ labels
    costs = [(of_labels.sum(axis=2) / labels.sum() - wanted)[:, :, None]]
    costs.append(of_labels / labels.sum(axis=0) - wanted[:, None])
    subclasses = (inside @ strata) / strata.sum(axis=0) - wanted[:, None]
    total = sum(np.abs(cost).sum(axis=(1, 2)) for cost in costs)
    total = total + _SUBCLASSES_COUNT * np.abs(subclasses).sum(axis=1).mean(axis=1)
    return np.where((of_labels > 0).all(axis=(1, 2)), total, np.inf)
