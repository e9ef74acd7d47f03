import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.sweep.analysis import score_test, to_csv, to_json
from tests.helpers.sweeps import analyse_made_up, dropout, noise


class TestAnalysis:
    """Numbers by setting and seed, and what they are compared with."""

    def test_pairs_are_made_of_the_seeds_that_both_have(self):
        plan = dropout(4)
        analysis, records = analyse_made_up(plan, lambda r, s: 0.9 + noise(0.01)(r, s), failed={"dropout-0.2_seed-1"})
        assert [each.difference.n for each in analysis.comparisons["valid.roc_auc"]] == [3, 4]
        assert ",failed,too hot," in to_csv(records)
        assert to_json(analysis, records)["settings"][1]["failed"] == 1

    def test_a_setting_without_any_trial_is_skipped(self):
        plan = dropout(2)
        analysis, _ = analyse_made_up(plan, lambda r, s: 0.9, failed={"dropout-0_seed-0", "dropout-0_seed-1"})
        assert [setting.point.label for setting in analysis.settings] == ["0.2", "0.4"]
        assert analysis.baseline.point.label == "0.2"

    def test_nothing_done_is_an_error(self):
        plan = dropout(1, (0,))
        with pytest.raises(ValueError, match="not one"):
            analyse_made_up(plan, lambda r, s: 0.9, failed={"dropout-0_seed-0"})

    @given(st.lists(st.floats(0.5, 1), min_size=6, max_size=6))
    def test_means_and_differences_are_those_of_the_trials(self, aucs):
        analysis, records = analyse_made_up(dropout(2), lambda r, s: aucs[2 * round(5 * r) + s])
        values = np.array(aucs).reshape(3, 2)
        assert [setting.means["valid.roc_auc"].mean for setting in analysis.settings] == pytest.approx(values.mean(1))
        differences = [each.difference.mean for each in analysis.comparisons["valid.roc_auc"]]
        assert differences == pytest.approx((values[1:] - values[0]).mean(1), abs=1e-12)
        assert analysis.best == values.mean(1).argmax()
        assert analysis.chosen is None or analysis.chosen <= analysis.best
        assert [float(row["valid_roc_auc"]) for row in csv.DictReader(to_csv(records).splitlines())] == [
            record.scores["valid"]["roc_auc"] for record in records.values()
        ]
        json.dumps(to_json(analysis, records), allow_nan=False)

    def test_the_test_score_is_the_mean_of_the_trials(self, rng):
        labels = np.arange(40) % 2
        predictions = [rng.random(40).astype(np.float32) for _ in range(3)]
        scores = score_test(labels, predictions)
        accuracies = [((probabilities >= 0.5) == labels).mean() for probabilities in predictions]
        assert scores["accuracy"].value == pytest.approx(np.mean(accuracies))
