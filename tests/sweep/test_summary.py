import numpy as np
import pytest

from bearcnn.config import load_config
from bearcnn.evaluation.intervals import Estimate
from bearcnn.sweep.analysis import analyse, to_csv, to_json
from bearcnn.sweep.plan import digest_config, list_cells, make_trials, plan_dropout, plan_grid
from bearcnn.sweep.summary import points, weigh, wrap_verdict, write_verdict
from bearcnn.sweep.trial_log import Record

PHOTOS = {"train": 100, "valid": 50, "test": 40}


def find(plan, auc, loss=lambda rate, seed: 0.5, failed=(), photos=PHOTOS):
    """What made-up trials say: `auc` and `loss` give validation AUC and training loss for a setting and a seed."""
    records = {}
    for trial in make_trials(plan, list_cells(plan)):
        value = next(iter(trial.settings.values()))
        scores = {
            "train": {"log_loss": loss(value, trial.seed), "accuracy": 0.9, "roc_auc": 0.95},
            "valid": {"log_loss": 0.6, "accuracy": 0.8, "roc_auc": auc(value, trial.seed)},
        }
        lost = trial.id in failed
        records[trial.id] = Record(
            trial.id, trial.settings, trial.seed, "failed" if lost else "done", "too hot" if lost else "",
            digest_config(trial.config), "photos", 1.0, 2, 1, {} if lost else scores, 1, "host", "now",
        )  # fmt: skip
    return analyse(plan, records, make_trials(plan, list_cells(plan)), photos), records


def dropout(seeds, rates=(0, 0.2, 0.4)):
    return plan_dropout(load_config(), "head", rates, seeds)


def noise(scale, size=(100, 100)):
    table = np.random.default_rng(1).normal(0, scale, size)
    return lambda rate, seed: float(table[int(rate * 10), seed])


class TestVerdict:
    """As cautious as the numbers, and no more."""

    def test_a_clear_gain_is_said_with_its_interval(self):
        wobble = noise(0.001)
        findings, _ = find(
            dropout(8), lambda r, s: 0.90 + 0.02 * (r == 0.4) + wobble(r, s), lambda r, s: 0.3 + r + wobble(r, s)
        )
        words = write_verdict(findings)
        assert "Dropout 0.4 raised it by 2." in words
        assert "No measurable difference for 0.2." in words
        assert "higher with 0.2 and 0.4" in words
        assert "Worse on training data: true here with 0.2 and 0.4; better on unseen data: true here with 0.4." in words
        assert "Chosen: dropout 0.4, the highest mean" in words
        assert "can't come below 0.05" not in words

    def test_harm_is_said_as_plainly(self):
        wobble = noise(0.001)
        findings, _ = find(
            dropout(8), lambda r, s: 0.9 - r / 10 + wobble(r, s), lambda r, s: 0.5 - r / 5 + wobble(r, s)
        )
        words = write_verdict(findings)
        assert "Dropout 0.4 lowered it by 4." in words
        assert "and so did 0.2" in words
        assert "Worse on training data: not so here, the contrary is true with 0.2 and 0.4" in words
        assert "better on unseen data: not so here, the contrary is true with 0.2 and 0.4" in words
        assert "Chosen: dropout 0," in words

    def test_no_difference_is_called_none_and_says_what_it_would_take(self):
        findings, _ = find(dropout(5), lambda r, s: 0.9 + noise(0.01)(r, s))
        words = write_verdict(findings)
        assert "No measurable difference to any other setting at 5 seeds" in words
        assert "With 5 seeds it can't come below 0.05 whatever the trials give; that takes 7." in words
        assert f"about {findings.seeds_for_a_point} seeds would be needed to see a true difference of 1 point" in words
        assert "raised" not in words
        assert "Chosen: dropout 0. " in words or findings.best == 0

    def test_what_holds_alone_but_not_together_is_a_hint(self):
        plan = dropout(5, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        steps = (0.004, 0.009, 0.010, 0.011, 0.021)
        flat = noise(0.004)
        findings, _ = find(plan, lambda r, s: 0.9 + (steps[s] if r == 0.3 else 0 if r == 0 else flat(r, s)))
        assert weigh(findings.comparisons["valid.roc_auc"][2]) == "hint"
        words = write_verdict(findings)
        assert "A hint, not more, that it was raised by 0.3" in words
        assert "among 7 comparisons such a thing also comes by chance" in words

    def test_false_alarms_are_rare_where_nothing_differs(self):
        random = np.random.default_rng(5)
        plan = dropout(5, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        alarms = 0
        for _ in range(100):
            table = random.normal(0.9, 0.01, (10, 5))
            findings, _ = find(plan, lambda r, s, table=table: float(table[round(10 * r), s]))
            alarms += "ed it by" in write_verdict(findings)
        assert alarms <= 10  # 5 of 100 are to be expected at most

    def test_one_seed_says_nothing_about_differences(self):
        findings, _ = find(dropout(1), lambda r, s: 0.9 + r / 10)
        words = write_verdict(findings)
        assert "With one seed no difference can be told from chance" in words
        assert "by one seed alone" in words
        assert "Permutation" not in words
        assert "raised" not in words

    def test_trials_that_are_all_perfect_say_nothing(self):
        findings, _ = find(dropout(3), lambda r, s: 1.0)
        words = write_verdict(findings)
        assert "these photos can't tell them apart" in words
        assert "raised" not in words
        assert "Chosen: dropout 0" in words

    def test_the_test_score_stands_in_it_only_where_there_is_one(self):
        from dataclasses import replace

        findings, _ = find(dropout(3), lambda r, s: 0.9 + noise(0.01)(r, s))
        assert "There is no test split" in write_verdict(findings)
        test = {"roc_auc": Estimate(0.91, 0.88, 0.94), "accuracy": Estimate(0.8, 0.7, 0.9)}
        label = findings.settings[findings.chosen].cell.label
        judged = replace(findings, test=test, test_looks=(label,))
        assert "ROC AUC 0.910 (0.880–0.940)" in write_verdict(judged)
        assert "for this setting alone" in write_verdict(judged)
        again = replace(judged, test_looks=("0.7", label))
        assert "looked at before, for 0.7: they are no longer quite unseen" in write_verdict(again)

    def test_failed_trials_are_told_and_pairs_are_made_of_what_is_there(self):
        plan = dropout(4)
        findings, records = find(plan, lambda r, s: 0.9 + noise(0.01)(r, s), failed={"dropout-0.2_seed-1"})
        words = write_verdict(findings)
        assert "1 trial failed and is skipped (too hot)." in words
        assert [each.difference.n for each in findings.comparisons["valid.roc_auc"]] == [3, 4]
        assert ",failed,too hot," in to_csv(records)
        assert to_json(findings, records)["settings"][1]["failed"] == 1

    def test_a_setting_without_any_trial_is_left_out(self):
        plan = dropout(2)
        findings, _ = find(plan, lambda r, s: 0.9, failed={"dropout-0_seed-0", "dropout-0_seed-1"})
        assert [setting.cell.label for setting in findings.settings] == ["0.2", "0.4"]
        assert "Validation AUC with dropout 0.2" in write_verdict(findings)

    def test_a_grid_names_its_settings_and_leaves_the_folklore_alone(self):
        plan = plan_grid(load_config(), ["model.pooling=max,avg", "model.kernel_size=3,5"], 3)
        findings, _ = find(plan, lambda value, s: 0.9 + 0.001 * s)
        words = write_verdict(findings)
        assert "Validation AUC with pooling max, kernel_size 3" in words
        assert "More dropout" not in words

    def test_nothing_done_is_no_finding(self):
        plan = dropout(1, (0,))
        with pytest.raises(ValueError, match="not one"):
            find(plan, lambda r, s: 0.9, failed={"dropout-0_seed-0"})

    def test_is_wrapped_for_a_terminal(self):
        findings, _ = find(dropout(5), lambda r, s: 0.9 + noise(0.01)(r, s))
        assert all(len(line) < 80 for line in wrap_verdict(write_verdict(findings)).splitlines())


@pytest.mark.parametrize(("value", "shown"), [(0.0123, "1.2"), (-0.02, "-2.0"), (0.0004, "0.04"), (None, "unknown")])
def test_points_are_of_a_hundred(value, shown):
    assert points(value) == shown
