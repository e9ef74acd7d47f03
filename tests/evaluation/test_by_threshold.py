"""Scores by threshold are those that an evaluation at each threshold gives."""

from dataclasses import replace

import numpy as np
import pytest

from bearcnn.evaluation.assessment import evaluate_predictions
from bearcnn.evaluation.by_threshold import errors_by_threshold, scores_by_threshold, spread_thresholds
from bearcnn.evaluation.groups import groups_with_photos
from bearcnn.evaluation.metrics import proportions
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.evaluation.sites import site_errors

CHANCES = np.random.default_rng(3).random(120).round(2)  # with ties
ALONE = [
    LabelledPrediction(f"{n}.jpg", "test", int(n % 3 == 0), "brown" if n % 3 == 0 else "boar", "", float(chance), False)
    for n, chance in enumerate(CHANCES)
]
TOGETHER = [replace(each, group=f"burst {n // 4}", site=f"site {n // 40}") for n, each in enumerate(ALONE)]


@pytest.mark.parametrize("photos", [ALONE, TOGETHER], ids=["alone", "in groups"])
def test_scores_by_threshold_are_those_of_an_evaluation(photos) -> None:
    thresholds = spread_thresholds(photos, [0.5, 0.123])
    assert {0.0, 0.123, 0.5} <= set(thresholds) and thresholds == sorted(thresholds)
    rows = scores_by_threshold(photos, thresholds)
    for place in range(0, len(thresholds), 7):
        row = next(row for row in reversed(rows) if row.start <= place)
        found = evaluate_predictions(photos, thresholds[place])
        assert (row.found, row.false_alarms) == (found.confusion.true_positive, found.confusion.false_positive)
        assert row.estimates == {name: found.estimates[name] for name in row.estimates}
        assert set(row.estimates) == set(proportions(np.array([True]), np.array([True])))
    assert (rows[0].found, rows[0].false_alarms) == (40, 80)
    assert (rows[-1].found, rows[-1].false_alarms) == (0, 0)


@pytest.mark.parametrize("photos", [ALONE, TOGETHER], ids=["alone", "in groups"])
def test_errors_by_threshold_are_those_of_the_groups_and_sites(photos) -> None:
    thresholds = spread_thresholds(photos, [0.5])
    for place in (0, 20, thresholds.index(0.5), len(thresholds) - 1):
        for expected, members in groups_with_photos(photos, thresholds[place]):
            row = next(row for row in reversed(errors_by_threshold(members, thresholds)) if row.start <= place)
            assert (row.missed + row.false_alarms, row.rate) == (expected.wrong, expected.rate)
        for site in site_errors(photos, thresholds[place]):
            members = [each for each in photos if each.site == site.site]
            rows = errors_by_threshold(members, thresholds, clustered=False)
            row = next(row for row in reversed(rows) if row.start <= place)
            assert (row.missed, row.false_alarms, row.rate) == (site.missed, site.false_alarms, site.rate)
