import pytest

from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import METRICS, evaluate
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.wording import (
    difference,
    explain_few_photos,
    interval,
    is_default,
    metric_words,
    share,
    threshold_origin,
)


def test_every_metric_has_words_of_its_own() -> None:
    words = [metric_words(name) for name in METRICS]
    assert len(set(words)) == len(METRICS)
    assert not any("_" in each for each in words)
    assert metric_words("valid_loss") == "validation loss"
    assert metric_words("of_a_later_version") == "of a later version"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            Choice(0.1, "target_recall", 0.98, 0.985, 1200, 600),
            "at least 98% of the 600 with a bear; it finds 98%",
        ),
        (Choice(0.1, "max_false_alarms_per_day", 5, 4.21, 1200, 600), "at most 5 false alarms per day; it gives 4.21."),
        (Choice(0.1, "given", 0.1, 0.1, 0, 0), "It was set by hand."),
        (Choice(0.5, "model", 0.5, 0.5, 0, 0), "This is the default."),
        (Choice(0.4, "model", 0.4, 0.4, 0, 0), "It comes from the model file."),
    ],
)
def test_a_threshold_says_where_it_comes_from(choice: Choice, said: str) -> None:
    assert said in threshold_origin(choice, "bear")
    assert is_default(choice) == (said == "This is the default.")


def test_estimates_with_and_without_an_interval() -> None:
    assert share(Estimate(0.968, 0.951, 0.98)) == "97% (95% to 98%)"
    assert share(Estimate(0.5, None, None)) == "50%"
    assert share(Estimate(None, None, None)) == "undefined"
    assert interval(Estimate(0.9, 0.8, 0.95)) == "0.800 to 0.950"
    assert interval(Estimate(None, None, None)) == ""
    assert difference(Estimate(0.01, -0.02, 0.04)) == "+0.010 (-0.020 to +0.040)"


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        ([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.7, 0.3, 0.2, 0.1], "6 photos (3 positive) are few"),
        ([1] * 9 + [0] * 91, [0.9] * 9 + [0.1] * 91, "100 photos (9 positive) are few"),
        ([1] * 20, [0.9] * 20, "they can't tell a good model from a bad one"),
    ],
)
def test_few_photos_are_said_to_be_few(labels: list[int], probabilities: list[float], said: str) -> None:
    assert said in str(explain_few_photos(evaluate(labels, probabilities, resamples=50)))


def test_a_perfect_score_on_six_photos_is_no_certainty() -> None:
    evaluation = evaluate([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.7, 0.3, 0.2, 0.1], resamples=50)
    low = evaluation.estimates["roc_auc"].low
    assert low is not None
    assert low < 0.8
    assert str(explain_few_photos(evaluation)).endswith(f"they can't tell an AUC of {low:.3f} from 1.000")


def test_enough_photos_need_no_remark() -> None:
    assert explain_few_photos(evaluate([0, 1] * 25, [0.2, 0.8] * 25, resamples=50)) is None
