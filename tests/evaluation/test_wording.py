import pytest

from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import METRICS
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.wording import difference, interval, is_default, metric_words, share, threshold_origin


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
            "at least 98% of the 600 with a bear; it finds 98.5%",
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
    assert share(Estimate(0.968, 0.951, 0.98)) == "96.8% (95.1% to 98.0%)"
    assert share(Estimate(0.5, None, None)) == "50%"
    assert share(Estimate(None, None, None)) == "undefined"
    assert interval(Estimate(0.9, 0.8, 0.95)) == "0.800 to 0.950"
    assert interval(Estimate(None, None, None)) == ""
    assert difference(Estimate(0.01, -0.02, 0.04)) == "+0.010 (-0.020 to +0.040)"
