"""Numbers of photos, what they can prove, and what gives a class away."""

from dataclasses import replace

import numpy as np
import pytest

from bearcnn.checks.balance import find_certainty, find_giveaways, find_imbalance
from bearcnn.checks.places import find_sites_across_splits
from bearcnn.evaluation.intervals import proportion
from tests.checks.conftest import fill


@pytest.fixture
def collection(tmp_path, collect):
    fill(tmp_path / "photos", 24)
    return collect(tmp_path / "photos")


def with_bears(collection, bears):
    """The collection with so many validation photos of bears."""
    example = next(each for each in collection.dataset.examples if each.label)
    others = tuple(each for each in collection.dataset.examples if not (each.label and each.split == "valid"))
    examples = others + tuple(replace(example, split="valid") for _ in range(bears))
    return replace(collection, dataset=replace(collection.dataset, examples=examples))


def test_few_bears_prove_little_and_it_says_how_many_would_prove_more(collection):
    (finding,) = find_certainty(with_bears(collection, 12))
    low = proportion(12, 12).low
    assert low is not None and 0.75 < low < 0.76
    assert "all 12 validation photos with a bear is proven to find 75% or more; 149 would prove 98%" in finding.reason
    assert "--folds 5" not in finding.reason  # cross-validation would have few more


def test_cross_validation_is_named_where_it_scores_many_more(collection):
    (finding,) = find_certainty(with_bears(collection, 4))
    assert "bearcnn train --folds 5 scores all 12" in finding.reason


def test_enough_bears_prove_the_target(collection):
    (finding,) = find_certainty(with_bears(collection, 149))
    assert finding.reason.endswith("is proven to find 98% or more")


def test_both_classes_are_few_here(collection):
    assert [finding.reason for finding in find_imbalance(collection)] == [
        "not_bear: 12 of 24 photos (50%)",
        "bear: 12 of 24 photos (50%)",
    ]


def test_a_rare_class_is_few_however_many_photos_it_has(collection):
    many = replace(collection.photos[0], label=0)
    some = replace(collection.photos[0], label=1)
    assert [each.reason for each in find_imbalance(replace(collection, photos=(many,) * 1920 + (some,) * 80))] == [
        "bear: 80 of 2,000 photos (4.0%)"
    ]
    assert list(find_imbalance(replace(collection, photos=(many,) * 1900 + (some,) * 100))) == []


def test_a_property_of_one_class_alone_gives_it_away(collection):
    assert list(find_giveaways(collection)) == []
    grey = np.array([photo.label == 1 for photo in collection.photos])
    night = replace(collection, measures=replace(collection.measures, grey=grey))
    assert [finding.reason for finding in find_giveaways(night)] == [
        "infrared or black-and-white: 100% of bear, 0% of not_bear"
    ]
    sites = tuple(replace(photo, site="north" if photo.label else "south") for photo in collection.photos)
    assert [finding.reason for finding in find_giveaways(replace(collection, photos=sites))] == [
        "taken at site north: 100% of bear, 0% of not_bear",
        "taken at site south: 0% of bear, 100% of not_bear",
    ]


def test_a_site_in_two_splits_is_named_with_its_numbers(collection):
    photos = tuple(
        replace(photo, site="river" if photo.split == "valid" or photo.row < 3 else "hill")
        for photo in collection.photos
    )
    (finding,) = find_sites_across_splits(replace(collection, photos=photos))
    valid = len(collection.dataset.select("valid"))
    train = sum(photo.split == "train" for photo in photos[:3])
    assert finding.reason == f"river: {train} in train, {valid} in valid"
