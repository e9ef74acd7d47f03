from dataclasses import replace

import numpy as np
import pytest

from bearcnn.config import load_config
from bearcnn.evaluation.intervals import Estimate
from bearcnn.sweep.analysis import to_json
from bearcnn.sweep.evidence import weigh
from bearcnn.sweep.plan import plan_grid
from bearcnn.sweep.summary import points, wrap_summary, write_summary
from tests.helpers.sweeps import analyse_made_up, dropout, noise


class TestSummary:
    """As cautious as the numbers, and no more."""

    def test_a_clear_gain_is_said_with_its_interval(self):
        wobble = noise(0.001)
        analysis, _ = analyse_made_up(
            dropout(8), lambda r, s: 0.90 + 0.02 * (r == 0.4) + wobble(r, s), lambda r, s: 0.3 + r + wobble(r, s)
        )
        words = write_summary(analysis)
        assert words.startswith("Dropout 0.4 is better than dropout 0 here: 2.")
        assert "Dropout 0.4 raised it by 2." in words
        assert "No measurable difference for 0.2." in words
        assert "higher with 0.2 and 0.4" in words
        assert "Worse on training data: true here with 0.2 and 0.4; better on unseen data: true here with 0.4." in words
        assert "Chosen: dropout 0.4, the highest mean" in words
        assert "can't fall below 0.05" not in words

    def test_harm_is_said_as_plainly(self):
        wobble = noise(0.001)
        analysis, _ = analyse_made_up(
            dropout(8), lambda r, s: 0.9 - r / 10 + wobble(r, s), lambda r, s: 0.5 - r / 5 + wobble(r, s)
        )
        words = write_summary(analysis)
        assert words.startswith("No dropout is shown to be better than dropout 0 here. Dropout 0.4 is worse: -4.")
        assert "Dropout 0.4 lowered it by 4." in words
        assert "and so did 0.2" in words
        assert "Worse on training data: not here, the opposite is true with 0.2 and 0.4" in words
        assert "better on unseen data: not here, the opposite is true with 0.2 and 0.4" in words
        assert "Chosen: dropout 0," in words

    def test_no_difference_is_called_none_and_says_what_it_would_take(self):
        analysis, _ = analyse_made_up(dropout(5), lambda r, s: 0.9 + noise(0.01)(r, s))
        words = write_summary(analysis)
        assert words.startswith("No dropout is shown to be better than dropout 0 here.\n")
        assert "No measurable difference between it and any other setting with 5 seeds" in words
        assert "With 5 seeds it can't fall below 0.05 whatever the trials give; that takes 7 seeds." in words
        assert f"points or more. To see 1 point takes about {analysis.seeds_for_a_point} seeds." in words
        assert "raised" not in words
        assert "Chosen: dropout 0. " in words or analysis.best == 0

    def test_what_holds_alone_but_not_together_is_a_hint(self):
        plan = dropout(5, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        steps = (0.004, 0.009, 0.010, 0.011, 0.021)
        flat = noise(0.004)
        analysis, _ = analyse_made_up(plan, lambda r, s: 0.9 + (steps[s] if r == 0.3 else 0 if r == 0 else flat(r, s)))
        assert weigh(analysis.comparisons["valid.roc_auc"][2]) == "hint"
        words = write_summary(analysis)
        assert "better than dropout 0 here; for 0.3 there is a hint at most.\n" in words
        assert "A hint, not more, that it was raised by 0.3" in words
        assert "Among 7 comparisons, chance alone can give such a hint." in words

    @pytest.mark.slow  # simulates 100 sweeps
    def test_wrong_claims_are_rare_where_nothing_differs(self):
        random = np.random.default_rng(5)
        plan = dropout(5, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        alarms = 0
        for _ in range(100):
            table = random.normal(0.9, 0.01, (10, 5))
            analysis, _ = analyse_made_up(plan, lambda r, s, table=table: float(table[round(10 * r), s]))
            words = write_summary(analysis)
            alarms += "ed it by" in words
            assert ("ed it by" in words) == ("is better than" in words or "is worse" in words)
        assert alarms <= 10  # 5 of 100 are to be expected at most

    def test_one_seed_says_nothing_about_differences(self):
        analysis, _ = analyse_made_up(dropout(1), lambda r, s: 0.9 + r / 10)
        words = write_summary(analysis)
        assert words.startswith("One seed can't tell whether any dropout is better than dropout 0.\n")
        assert "With one seed no difference can be told from chance" in words
        assert "with one seed only" in words
        assert "Permutation" not in words
        assert "raised" not in words

    def test_trials_that_are_all_perfect_say_nothing(self):
        analysis, _ = analyse_made_up(dropout(3), lambda r, s: 1.0)
        words = write_summary(analysis)
        assert "these photos can't tell them apart" in words
        assert "raised" not in words
        assert "Chosen: dropout 0" in words

    def test_where_nothing_was_learnt_nothing_is_chosen(self):
        wobble = noise(0.01)
        for seeds, level in ((1, 0.55), (2, 0.52), (5, 0.5), (8, 0.49)):
            analysis, records = analyse_made_up(dropout(seeds), lambda r, s, level=level: level + wobble(r, s))
            words = write_summary(analysis)
            assert analysis.chosen is None, (seeds, level)
            assert words.startswith("Nothing was learnt: with no setting is the validation AUC (at most 0.")
            assert "Chosen" not in words and "test photos:" not in words
            assert to_json(analysis, records)["chosen"] is None

    def test_the_test_score_stands_in_it_only_where_there_is_one(self):
        analysis, _ = analyse_made_up(dropout(3), lambda r, s: 0.9 + noise(0.01)(r, s))
        assert "There is no test split" in write_summary(analysis)
        test = {"roc_auc": Estimate(0.91, 0.88, 0.94), "accuracy": Estimate(0.8, 0.7, 0.9)}
        label = analysis.settings[analysis.chosen].point.label
        judged = replace(analysis, test=test, test_looks=(label,))
        assert "ROC AUC 0.910 (0.880 to 0.940)" in write_summary(judged)
        assert "for this setting only" in write_summary(judged)
        again = replace(judged, test_looks=("0.7", label))
        assert "scored before, for 0.7: they are no longer quite unseen" in write_summary(again)

    def test_failed_trials_are_counted_with_their_reason(self):
        plan = dropout(4)
        analysis, _ = analyse_made_up(plan, lambda r, s: 0.9 + noise(0.01)(r, s), failed={"dropout-0.2_seed-1"})
        words = write_summary(analysis)
        assert "1 trial failed and is skipped (too hot)." in words

    def test_a_setting_without_any_trial_is_left_out(self):
        plan = dropout(2)
        analysis, _ = analyse_made_up(plan, lambda r, s: 0.9, failed={"dropout-0_seed-0", "dropout-0_seed-1"})
        assert "Validation AUC with dropout 0.2" in write_summary(analysis)

    def test_a_grid_names_its_settings_and_leaves_the_folklore_alone(self):
        plan = plan_grid(load_config(), {"model.pooling": ["max", "avg"], "model.kernel_size": [3, 5]}, 3)
        analysis, _ = analyse_made_up(plan, lambda value, s: 0.9 + 0.001 * s)
        words = write_summary(analysis)
        assert "Validation AUC with pooling max, kernel_size 3" in words
        assert "More dropout" not in words

    def test_is_wrapped_for_a_terminal(self):
        analysis, _ = analyse_made_up(dropout(5), lambda r, s: 0.9 + noise(0.01)(r, s))
        assert all(len(line) < 80 for line in wrap_summary(write_summary(analysis)).splitlines())


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0123, "1.2"), (0.134, "13"), (0.0996, "10"), (-0.02, "-2.0"), (0.0004, "0.04"), (None, "unknown")],
)
def test_points_are_of_a_hundred(value, shown):
    assert points(value) == shown
