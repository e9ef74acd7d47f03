import re

import numpy as np
import pytest

from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy, assess, choose_threshold
from bearcnn.evaluation.calibration import measure_reliability
from bearcnn.evaluation.formats import count, decimal, percent
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays
from bearcnn.evaluation.summary import summarize


def photos(bears: int, others: int, shift: float = 2.0, kinds: tuple[str, ...] = ("wolf", "fox", "empty")):
    draw = np.random.default_rng(3)
    for number in range(bears + others):
        label = int(number < bears)
        odds = draw.normal(shift if label else -shift, 1.5)
        kind = ("brown", "cub")[number % 2] if label else kinds[number % len(kinds)]
        yield LabelledPrediction(f"{number}.jpg", "test", label, kind, "", float(1 / (1 + np.exp(-odds))), False)


def summary(predictions: list[LabelledPrediction], **asked: float) -> tuple[Assessment, list[str], float]:
    policy = ThresholdPolicy(**asked)
    choice = choose_threshold(policy, predictions, 0.5)
    assessment = assess(predictions, "test", choice, policy, trained_on=None)
    error = measure_reliability(*as_arrays(predictions)).calibration_error
    return assessment, summarize(assessment, error, "bear", "Not at this threshold."), error


@pytest.mark.parametrize(
    "asked",
    [{}, {"prevalence": 0.02, "photos_per_day": 4000}, {"target_recall": 0.98}, {"threshold": 0.0764}],
    ids=["default", "in use", "recall", "by hand"],
)
@pytest.mark.parametrize(("bears", "others"), [(300, 300), (30, 1200)])
def test_each_sentence_has_the_numbers_of_the_json_and_fits_a_line(bears, others, asked):
    assessment, sentences, error = summary(list(photos(bears, others)), **asked)
    content = assessment.to_json()
    confusion, point, estimates = content["confusion"], content["operating_point"], content["estimates"]
    assert len(sentences) == 6
    assert max(map(len, sentences)) <= 80
    finds, alarms, use, weakest, scores, measured = sentences
    recall, rate = estimates["recall"], estimates["false_positive_rate"]
    assert finds == (
        f"Not at this threshold. It finds {confusion['true_positive']:,} of {bears:,} bears: "
        f"{percent(recall['value'])} ({percent(recall['low'])} to {percent(recall['high'])})."
    )
    assert (
        f"{confusion['false_positive']:,} of {others:,} other photos: {percent(rate['value'])} (95% interval " in alarms
    )
    assert f"{percent(rate['low'])} to {percent(rate['high'])})" in alarms
    prevalence = {0.5: "50%", 0.02: "2%", 30 / 1230: "2.4%", 0.25: "25%"}[point["prevalence"]]
    assert f"of {point['photos_per_day']:,.0f} photos per day, {prevalence} with a bear" in use
    assert f"{count(point['alerts_per_day']['value'])} alerts" in use
    assert f"{count(point['false_alarms_per_day']['value'])} false." in use
    named = re.findall(r"(\w+) \(([\d,]+) (missed|false alarms?) in ([\d,]+)\)", weakest)
    rows = {row["name"]: row for row in content["groups"]}
    assert named
    for name, wrong, what, number in named:
        row = rows[name]
        assert (wrong, number) == (f"{row['wrong']:,}", f"{row['photos']:,}")
        assert what.removesuffix("s") == ("missed" if row["label"] else "false alarm")
        assert what.endswith("s") == (not row["label"] and row["wrong"] > 1)
    auc, accuracy = estimates["roc_auc"], estimates["accuracy"]
    assert f"AUC {decimal(auc['value'])} ({decimal(auc['low'])} to {decimal(auc['high'])})" in scores
    assert f"accuracy {percent(accuracy['value'])} ({percent(accuracy['low'])} to" in scores
    assert scores.endswith(f"calibration error {percent(error)}.")
    assert f"On {content['n']:,} test photos at threshold {content['threshold']:.3g}, " in measured


def test_the_weakest_kind_is_the_one_that_is_surely_weak():
    right = [LabelledPrediction(f"{n}", "test", n % 2, "a", "", 0.9 if n % 2 else 0.1, False) for n in range(60)]
    few = [LabelledPrediction(f"few{n}", "test", 0, "few", "", 0.9, False) for n in range(2)]
    many = [LabelledPrediction(f"many{n}", "test", 0, "many", "", 0.9 if n < 30 else 0.1, False) for n in range(40)]
    weakest = summary([*right, *few, *many])[1][3]
    assert weakest == "Weakest kinds: many (30 false alarms in 40), few (2 false alarms in 2)."
    assert summary(right)[1][3] == "Weakest kinds: none, because every answer is right."


def test_kinds_with_long_names_never_break_the_line():
    kinds = tuple(f"a rather long name of a kind, {number}" for number in range(3))
    _, sentences, _ = summary(list(photos(200, 200, shift=0.5, kinds=kinds)))
    assert len(sentences[3]) <= 80


def test_photos_of_one_class_are_said_to_be_so():
    bears = [each for each in photos(40, 40) if each.label]
    _, sentences, _ = summary(bears)
    assert sentences[1] == "False alarms can't be counted: every photo here has a bear."
    _, sentences, _ = summary([each for each in photos(40, 40) if not each.label])
    assert sentences[0].endswith("No photo here has a bear.")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "at threshold 0.5, the default."),
        ({"threshold": 0.25}, "at threshold 0.25, set by hand."),
        ({"target_recall": 0.985}, ", chosen for 98.5% recall."),
        ({"max_false_alarms_per_day": 5, "photos_per_day": 400}, ", chosen for 5 false alarms per day."),
    ],
)
def test_the_threshold_has_its_reason(asked: dict[str, float], said: str):
    assert summary(list(photos(100, 100)), **asked)[1][5].endswith(said)
