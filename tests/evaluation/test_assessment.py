import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.errors import BearcnnError
from bearcnn.evaluation.assessment import (
    ThresholdPolicy,
    assess,
    assess_calibration,
    choose_threshold,
    group_errors,
    worst_mistakes,
)
from bearcnn.evaluation.calibration import apply_temperature
from bearcnn.evaluation.intervals import proportion
from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays, in_split, read_predictions
from bearcnn.evaluation.thresholds import Choice


def photo(
    label: int, probability: float, subclass: str = "x", *, path: str = "", grey: bool = False
) -> LabelledPrediction:
    return LabelledPrediction(path or f"{label}-{probability}", "test", label, subclass, "", probability, grey)


def test_calibration_is_judged_on_test_photos_or_by_cross_fitting(trained) -> None:
    scores = read_predictions(trained[0])
    found = assess_calibration(scores, 2.0)
    labels, after = as_arrays(in_split(scores, "test"))
    assert (found["judged_on"], found["cross_fitted"], found["photos"]) == ("test", False, len(labels))
    assert found["after"]["brier"] == pytest.approx(evaluate(labels, after).estimates["brier"].value)
    before = apply_temperature(after, 0.5)
    assert found["before"]["brier"] == pytest.approx(evaluate(labels, before).estimates["brier"].value)
    lone = assess_calibration(in_split(scores, "valid"), 2.0)
    assert (lone["judged_on"], lone["cross_fitted"]) == ("valid", True)


def test_groups_count_misses_of_bears_and_false_alarms_of_others() -> None:
    photos = [photo(1, 0.9, "brown"), photo(1, 0.1, "brown"), photo(0, 0.5, "boar"), photo(0, 0.2, "deer")]
    rows = {row.name: row for row in group_errors(photos, 0.5)}
    assert (rows["brown"].wrong, rows["boar"].wrong, rows["deer"].wrong) == (1, 1, 0)
    assert rows["brown"].rate == proportion(1, 2)
    assert [row.name for row in group_errors(photos, 0.5)] == ["brown", "boar", "deer"]
    night = [*photos, replace(photos[0], grey=True)]
    assert [(r.name, r.label, r.photos) for r in group_errors(night, 0.5)][3:] == [
        ("in colour", 1, 2),
        ("grey (infrared?)", 1, 1),
        ("in colour", 0, 2),
    ]


def test_the_worst_mistakes_are_those_farthest_from_the_threshold_half_of_each_kind() -> None:
    missed = [photo(1, value) for value in (0.4, 0.1, 0.3, 0.2)]
    alarms = [photo(0, value) for value in (0.6, 0.9, 0.7)]
    right = [photo(1, 0.99), photo(0, 0.01)]
    found = worst_mistakes([*missed, *alarms, *right], 0.5, most=4)
    assert [each.probability for each in found] == [0.1, 0.2, 0.9, 0.7]
    assert len(worst_mistakes([*missed, *alarms, *right], 0.5, most=12)) == 7
    assert [each.probability for each in worst_mistakes(missed, 0.5, most=3)] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (ThresholdPolicy(target_recall=0.9, threshold=0.1), "give one of"),
        (ThresholdPolicy(target_recall=98), "such as 0.98"),
        (ThresholdPolicy(target_precision=0.9), "give `target_recall` for the lower one"),
        (ThresholdPolicy(target_recall=0.9, target_precision=90), "such as 0.9"),
        (ThresholdPolicy(max_false_alarms_per_day=3), "`photos_per_day`"),
        (ThresholdPolicy(max_false_alarms_per_day=-1, photos_per_day=9), "0 or more"),
        (ThresholdPolicy(prevalence=2), "between 0 and 1"),
        (ThresholdPolicy(threshold=-0.1), "between 0 and 1"),
    ],
)
def test_policies_that_cant_be_meant_are_refused(policy: ThresholdPolicy, said: str) -> None:
    with pytest.raises(BearcnnError, match=said):
        policy.check()


def test_saving_needs_a_threshold() -> None:
    ThresholdPolicy(threshold=0.5).check(saving=True)
    with pytest.raises(BearcnnError, match="needs a threshold"):
        ThresholdPolicy().check(saving=True)


@pytest.mark.parametrize(
    ("policy", "trained_on", "said"),
    [
        (ThresholdPolicy(target_recall=0.98), "valid", "flatter"),
        (ThresholdPolicy(target_recall=0.98, target_precision=0.9), "test", "where bears are rarer it is lower"),
        (ThresholdPolicy(), "valid", "best epoch"),
        (ThresholdPolicy(), "train", "say nothing about others"),
        (
            ThresholdPolicy(target_recall=0.98),
            "test",
            "98% recall is not shown: 2 of 2 test bears found",
        ),
    ],
)
def test_it_says_what_the_numbers_cant(policy: ThresholdPolicy, trained_on: str, said: str) -> None:
    photos = [photo(1, 0.9), photo(1, 0.8), photo(0, 0.3)]
    found = assess(photos, "test", choose_threshold(policy, photos, 0.5), policy, trained_on=trained_on)
    assert any(said in note for note in found.notes)
    json.dumps(found.to_json(), allow_nan=False)


def test_validation_photos_that_chose_no_epoch_need_no_remark() -> None:
    photos = [photo(1, 0.9), photo(0, 0.3)] * 25
    choice = choose_threshold(ThresholdPolicy(), [], 0.5)
    assert not assess(photos, "valid", choice, ThresholdPolicy(), trained_on="valid", monitor="last").notes


def test_photos_the_training_never_saw_need_no_remark() -> None:
    photos = [photo(1, 0.9), photo(0, 0.3)] * 25
    assert (
        assess(photos, "test", choose_threshold(ThresholdPolicy(), [], 0.5), ThresholdPolicy(), trained_on=None).notes
        == []
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=40), st.floats(0, 1), st.integers(1, 12))
def test_the_worst_mistakes_are_mistakes_and_as_many_as_fit(answers, threshold: float, most: int) -> None:
    photos = [photo(label, probability, path=str(number)) for number, (label, probability) in enumerate(answers)]
    found = worst_mistakes(iter(photos), threshold, most)
    wrong = [each for each in photos if (each.probability >= threshold) != (each.label == 1)]
    assert len(found) == len({each.path for each in found}) == min(most, len(wrong))
    assert {each.path for each in found} <= {each.path for each in wrong}


def test_photos_are_scored_once_more_without_a_group_of_them(predictions_of_groups) -> None:
    choice = Choice(0.5, "model", 0.5, 0.5, 0, 0)
    found = assess(predictions_of_groups, "test", choice, ThresholdPolicy(), trained_on=None, exclude=["fox"])
    assert found.evaluation.n == 12 and found.evaluation.estimates["roc_auc"].value == pytest.approx(30 / 36)
    assert found.without is not None and found.without.subclasses == ("fox",)
    assert found.without.evaluation.n == 10 and found.without.evaluation.estimates["roc_auc"].value == 1
    assert found.to_json()["without"]["evaluation"]["confusion"]["false_positive"] == 0


@pytest.mark.parametrize(
    ("exclude", "message"),
    [(["foxx"], "no group of photos 'foxx'.*did you mean fox"), (["fox", "deer"], "has not both classes")],
)
def test_a_group_that_is_not_there_or_all_of_a_class_is_refused(predictions_of_groups, exclude, message) -> None:
    choice = Choice(0.5, "model", 0.5, 0.5, 0, 0)
    with pytest.raises(BearcnnError, match=message):
        assess(predictions_of_groups, "test", choice, ThresholdPolicy(), trained_on=None, exclude=exclude)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "lite", "trained_on": "ImageNet"}, "lite, has seen the photos of ImageNet"),
        ({"name": "lite", "trained_on": ""}, "isn't known which photos the pretrained body, lite, has seen"),
        ({}, None),
    ],
)
def test_what_a_body_has_seen_is_a_caveat(predictions_of_groups, body, said) -> None:
    choice = Choice(0.5, "model", 0.5, 0.5, 0, 0)
    notes = assess(predictions_of_groups, "test", choice, ThresholdPolicy(), trained_on=None, body=body).notes
    of_the_body = [note for note in notes if "the pretrained body" in note]
    assert of_the_body == [] if said is None else said in of_the_body[0]


@pytest.fixture
def predictions_of_groups() -> list[LabelledPrediction]:
    """Six bears at 0.8, four deer at 0.2, and two foxes at 0.9 that are taken for bears."""
    groups = [("brown", 1, 0.8)] * 6 + [("deer", 0, 0.2)] * 4 + [("fox", 0, 0.9), ("fox", 0, 0.75)]
    return [
        LabelledPrediction(f"{number}.jpg", "test", label, subclass, "", probability, False)
        for number, (subclass, label, probability) in enumerate(groups)
    ]
