import numpy as np
import pytest

from bearcnn.evaluation.assessment import ThresholdPolicy, choose_threshold
from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.evaluation.thresholds import Choice, operating_point
from bearcnn.report.verdict import judge, mark_thresholds, name_way_out, suggest_threshold


@pytest.mark.parametrize(
    ("found", "bears", "alarms", "others", "word"),
    [
        (300, 300, 5, 300, "Yes, on photos like these."),
        (20, 20, 1, 100, "Perhaps."),
        (60, 100, 5, 100, "Not at this threshold."),
        (100, 100, 90, 100, "Little help."),
    ],
)
def test_the_verdict_follows_from_recall_its_interval_and_the_alarms(found, bears, alarms, others, word) -> None:
    labels = [1] * bears + [0] * others
    probabilities = [0.9] * found + [0.2] * (bears - found) + [0.8] * alarms + [0.1] * (others - alarms)
    assert judge(evaluate(labels, probabilities), operating_point(labels, probabilities, 0.5), "bear")[1] == word


def test_a_coin_gets_a_no_and_few_photos_or_one_class_no_answer() -> None:
    coin = np.random.default_rng(0).random(200)
    labels = np.arange(200) % 2
    assert judge(evaluate(labels, coin), operating_point(labels, coin, 0.5), "bear")[:2] == ("bad", "No.")
    found = judge(
        evaluate([1] * 3 + [0] * 30, [0.9] * 33), operating_point([1] * 3 + [0] * 30, [0.9] * 33, 0.5), "bear"
    )
    assert found == (
        "unsure",
        "Can't tell yet.",
        "3 photos with a bear and 30 without are too few for a verdict. It found 3 of the 3, and raised a false "
        "alarm on 30 of the 30.",
    )
    assert judge(evaluate([0], [0.1]), operating_point([0], [0.1], 0.5), "bear")[1] == "Can't tell."


def test_the_reason_gives_the_interval_of_the_recall_and_the_false_alarms() -> None:
    labels = [1] * 600 + [0] * 600
    probabilities = [0.9] * 583 + [0.2] * 17 + [0.8] * 19 + [0.1] * 581
    found = judge(evaluate(labels, probabilities), operating_point(labels, probabilities, 0.5), "bear")
    assert found[2] == (
        "It finds 97% of the photos with a bear (95% interval 96% to 98%) and raises a false alarm on 3.2% of the rest."
    )


def test_a_lower_threshold_is_suggested_where_it_finds_more_bears() -> None:
    photos = [LabelledPrediction("", "valid", i % 2, "x", "", 0.3 + 0.4 * (i % 2) - 0.01 * i, False) for i in range(40)]
    suggested = suggest_threshold(choose_threshold(ThresholdPolicy(), photos, 0.5), photos, photos)
    assert suggested is not None and suggested[0].reached == suggested[1].recall.value == 1
    assert suggest_threshold(choose_threshold(ThresholdPolicy(), photos[:20], 0.5), photos[:20], photos) is None
    assert suggest_threshold(Choice(0.1, "model", 0.1, 0.1, 0, 0), photos, photos) is None
    assert suggest_threshold(choose_threshold(ThresholdPolicy(target_recall=0.5), photos, 0.5), photos, photos) is None


def test_the_headline_names_the_way_out_with_its_costs() -> None:
    labels = [1] * 100 + [0] * 100
    probabilities = [0.9] * 85 + [0.2] * 13 + [0.05] * 2 + [0.8] * 5 + [0.1] * 95
    evaluation, point = evaluate(labels, probabilities), operating_point(labels, probabilities, 0.5)
    assert judge(evaluation, point, "bear")[1:] == (
        "Not at this threshold.",
        "At 0.5 it misses 15% of the photos with a bear (15 of 100) and raises a false alarm on 5.0% of the rest.",
    )
    better = operating_point(labels, probabilities, 0.076)
    assert name_way_out(better) == "At 0.076 it finds 98% and leaves 99% of the photos to look at."


def test_marks_are_the_thresholds_that_find_so_many_bears_and_few_bears_give_none() -> None:
    photos = [LabelledPrediction("", "valid", 1, "x", "", (n + 0.5) / 100, False) for n in range(100)]
    for recall, threshold in mark_thresholds(photos):
        assert sum(each.probability >= threshold for each in photos) == round(100 * recall)
    assert len(mark_thresholds(photos)) == 3 and mark_thresholds(photos[:19]) == []
