"""Divisions of whole groups: nothing on two sides, shares and classes as near as groups allow."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bearcnn.data.splits import Example
from bearcnn.data.stratified_groups import deal, divide

SHARES = (0.2, 0.2)


def make(groups: list[list[tuple[int, str]]]) -> list[Example]:
    """Photos of groups, each a list of labels and subclasses."""
    rows = [(number, *kind) for number, group in enumerate(groups) for kind in group]
    return [
        Example(Path(f"{row}.jpg"), label, subclass, "train", row, f"{row * 7919 % 10007:05}", group=f"site {number}")
        for row, (number, label, subclass) in enumerate(rows)
    ]


kinds = st.sampled_from([(1, "brown"), (1, "black"), (0, "fox"), (0, "deer"), (0, "empty")])
sites = st.lists(st.lists(kinds, min_size=1, max_size=12), min_size=1, max_size=14)


@settings(deadline=None, max_examples=15)
@given(sites, st.integers(0, 3), st.sampled_from([(0.2, 0.2), (0.2,), (0.1, 0.3), (0.02,)]), st.randoms())
def test_no_group_is_in_two_parts_and_each_part_has_both_classes(
    groups: list[list[tuple[int, str]]], seed: int, shares: tuple[float, ...], order: Any
) -> None:
    examples = make(groups)
    parts = divide(examples, shares, seed)
    if parts is None:
        return
    found = {(each.group, int(part)) for each, part in zip(examples, parts, strict=True)}
    assert len(found) == len({group for group, _ in found})
    classes = {(int(part), each.label) for each, part in zip(examples, parts, strict=True)}
    assert classes == {(part, label) for part in range(len(shares) + 1) for label in (0, 1)}
    shuffled = list(zip(examples, parts.tolist(), strict=True))
    order.shuffle(shuffled)
    again = divide([each for each, _ in shuffled], shares, seed)
    assert again is not None and again.tolist() == [part for _, part in shuffled]


@settings(deadline=None, max_examples=15)
@given(sites, st.integers(2, 4), st.integers(0, 3))
def test_no_group_is_in_two_folds_and_each_fold_has_both_classes(
    groups: list[list[tuple[int, str]]], folds: int, seed: int
) -> None:
    examples = make(groups)
    dealt = deal(examples, folds, seed)
    if dealt is None:
        return
    assert len({(each.group, int(fold)) for each, fold in zip(examples, dealt, strict=True)}) == len(groups)
    classes = {(int(fold), each.label) for each, fold in zip(examples, dealt, strict=True)}
    assert classes == {(fold, label) for fold in range(folds) for label in (0, 1)}


def draw_sites(number: int, photos: int, seed: int) -> list[Example]:
    """Sites of very different sizes, with bears at some more than at others."""
    random = np.random.default_rng(seed)
    weights, bears = random.dirichlet([0.7] * number), random.beta(0.8, 1.5, number)
    groups: list[list[tuple[int, str]]] = [[] for _ in range(number)]
    for site in random.choice(number, photos, p=weights):
        kind = (1, "bear") if random.random() < bears[site] else (0, str(random.choice(["fox", "deer", "empty"])))
        groups[site].append(kind)
    return make([group for group in groups if group])


@pytest.mark.slow  # divides 800 photos 12 times
@pytest.mark.parametrize(("number", "tolerance"), [(12, 0.12), (40, 0.06), (150, 0.02)])
def test_shares_and_classes_are_kept_the_better_the_more_groups_there_are(number: int, tolerance: float) -> None:
    for seed in (1, 2):
        examples = draw_sites(number, 800, seed)
        parts = divide(examples, SHARES, seed)
        assert parts is not None
        labels = np.array([each.label for each in examples])
        for part, share in enumerate((0.6, *SHARES)):
            assert abs((parts == part).mean() - share) <= tolerance
            assert abs((parts[labels == 1] == part).mean() - share) <= 2 * tolerance
    assert parts.tolist() == divide(examples, SHARES, 2).tolist()
    assert parts.tolist() != divide(examples, SHARES, 3).tolist()


def test_of_five_sites_the_giant_is_trained_on_whatever_the_seed() -> None:
    kinds = [(1, "bear"), (0, "fox")]
    examples = make([kinds * 60, *([kinds * 10] * 4)])
    found = set()
    for seed in range(6):
        parts = divide(examples, SHARES, seed)
        assert parts is not None
        sizes = Counter(parts.tolist())
        assert parts[0] == 0 and sizes[0] == 120 and sizes[1] == sizes[2] == 40
        found.add(tuple(parts.tolist()))
    assert len(found) > 1


def test_bears_at_too_few_sites_cant_be_divided() -> None:
    assert divide(make([[(1, "bear")] * 9, [(1, "bear"), (0, "fox")], *[[(0, "fox")] * 5] * 6]), SHARES, 0) is None
    assert deal(make([[(1, "bear")] * 9, [(1, "bear"), (0, "fox")], *[[(0, "fox")] * 5] * 6]), 3, 0) is None
