"""Labels from names."""

from pathlib import Path

import pytest

from bearcnn.data.sources.labels import (
    check_classes,
    choose_label,
    is_positive,
    mentions_positive,
    positive_words,
    says_nothing,
)
from bearcnn.errors import DataError

BEAR = positive_words(["bear"])


def test_a_name_is_positive_in_any_case_and_only_as_a_whole():
    words = positive_words(["Brown Bear", "cub"])
    assert [is_positive(name, words) for name in ("brown bear", "CUB", "bear", "Ursus arctos", "cubs")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_bear_stands_for_the_scientific_names_of_bears():
    assert all(is_positive(name, BEAR) for name in ("bear", "Ursus arctos", "ursus_americanus", "URSIDAE", "Ursus sp."))
    assert not any(is_positive(name, BEAR) for name in ("brown bear", "Phascolarctos cinereus", "Arctictis binturong"))


def test_what_may_be_a_bear_is_no_label():
    assert all(says_nothing(name, BEAR) for name in ("unknown", "Unidentified", "Mammalia", "carnivora"))
    assert not says_nothing("Mammalia", positive_words(["wolf"]))
    assert choose_label(["unknown"], BEAR) == "labelled unknown, perhaps bear"
    assert choose_label(["unknown"], positive_words(["unknown"])) == (1, "unknown")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["wolf", "wolf", "bear"], (1, "bear")),
        (["unknown", "Bear"], (1, "bear")),
        (["wolf", "unknown"], "labelled unknown, perhaps bear"),
        (["empty", "wolf"], (0, "wolf")),
        (["empty", "empty"], (0, "empty")),
        (["fox", "wolf", "wolf"], (0, "wolf")),
        (["wolf", "fox"], (0, "fox")),
        (["Ursus arctos"], (1, "Ursus arctos")),
    ],
)
def test_one_positive_name_makes_the_photo_positive(names, chosen):
    assert choose_label(names, BEAR) == chosen
    assert choose_label(names[::-1], BEAR) == chosen


def test_names_that_mention_a_bear_are_doubtful_but_not_their_denials():
    assert all(mentions_positive(name, BEAR) for name in ("brown bear", "Black_Bear", "bears", "Bear (adult)"))
    assert not any(mentions_positive(name, BEAR) for name in ("not_bear", "no bear", "beard", "wolf", "bearcat", ""))


def test_both_classes_are_needed():
    def message(labels, names):
        with pytest.raises(DataError) as caught:
            check_classes(Path("labels.csv"), labels, names, ["bear"])
        return str(caught.value)

    check_classes(Path("labels.csv"), {0, 1}, [], ["bear"])
    assert message(set(), []) == "no photo in labels.csv has a label that can be used"
    assert "others are needed" in message({1}, ["bear"])
    assert message({0}, ["wolf", "brown bear", "not bear"]) == (
        "no label in labels.csv is bear (found: brown bear, not bear, wolf): name the positive ones, "
        "such as --set 'data.positive=[\"brown bear\"]'"
    )
