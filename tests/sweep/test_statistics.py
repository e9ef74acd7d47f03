import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.sweep.statistics import (
    Mean,
    beats_chance,
    compare_paired,
    holm,
    mean_interval,
    paired_power,
    pooled_deviation,
    seeds_for_significance,
    seeds_needed,
    sign_flip_test,
    smallest_p_value,
    visible_difference,
    within_one_standard_error,
)

numbers = st.floats(-10, 10).map(lambda number: round(number, 6))


class TestMeanInterval:
    @given(st.lists(numbers, min_size=2, max_size=12))
    def test_is_scipys_t_interval(self, values):
        found = mean_interval(values, 0.9)
        assert found.mean == pytest.approx(np.mean(values))
        error = scipy.stats.sem(values)
        if error > 1e-9:
            low, high = scipy.stats.t.interval(0.9, len(values) - 1, np.mean(values), error)
            assert (found.low, found.high) == pytest.approx((low, high))
        assert found.error == pytest.approx(error)

    def test_one_number_has_no_interval_and_none_no_mean(self):
        assert mean_interval([0.5]) == Mean(1, 0.5, None, None, None)
        assert mean_interval([]) == Mean(0, None, None, None, None)

    def test_what_is_not_a_number_is_left_out(self):
        assert mean_interval([1.0, math.nan, 2.0]) == mean_interval([1.0, 2.0])

    def test_covers_the_truth_as_often_as_it_says(self, rng):
        samples = rng.normal(3, 2, (2000, 5))
        hits = sum(mean.low <= 3 <= mean.high for mean in map(mean_interval, samples))
        assert 0.935 < hits / 2000 < 0.965


class TestSignFlips:
    @given(st.lists(numbers, min_size=1, max_size=8))
    def test_is_the_share_of_all_choices_of_signs(self, differences):
        sums = [
            abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product((-1, 1), repeat=len(differences))
        ]
        brute = np.mean([each >= abs(sum(differences)) - 1e-9 for each in sums])
        assert sign_flip_test(differences) == pytest.approx(brute)

    def test_agrees_with_scipy(self, rng):
        differences = rng.normal(0.5, 1, 9)
        scipys = scipy.stats.permutation_test(
            (differences, np.zeros(9)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
        )
        assert sign_flip_test(differences) == pytest.approx(scipys.pvalue)

    @pytest.mark.parametrize("n", [1, 5, 12])
    def test_is_never_below_what_so_few_pairs_can_show(self, n):
        assert sign_flip_test([1.0] * n) == smallest_p_value(n)

    def test_five_seeds_can_not_reach_five_percent(self):
        assert smallest_p_value(5) == 0.0625
        assert seeds_for_significance(1) == 6
        assert seeds_for_significance(7) == 9
        assert 7 * smallest_p_value(8) > 0.05 >= 7 * smallest_p_value(9)

    def test_many_pairs_are_flipped_at_random_and_repeatably(self, rng):
        differences = rng.normal(0.3, 1, 30)
        assert sign_flip_test(differences) == sign_flip_test(differences)
        t_test = scipy.stats.ttest_1samp(differences, 0).pvalue
        assert sign_flip_test(differences) == pytest.approx(t_test, abs=0.02)

    def test_no_difference_is_a_p_value_of_one_and_no_pair_is_none(self):
        assert sign_flip_test([0.0, 0.0, 0.0]) == 1
        assert sign_flip_test([]) is None


class TestHolm:
    def test_a_worked_example(self):
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_none_does_not_count(self):
        assert holm([0.02, None, 0.03]) == pytest.approx([0.04, None, 0.04])

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
    def test_never_helps_keeps_the_order_and_stays_below_bonferroni(self, p_values):
        corrected = holm(p_values)
        for before, after in zip(p_values, corrected, strict=True):
            assert before <= after <= min(1, len(p_values) * before) + 1e-12
        order = np.argsort(p_values, kind="stable")
        assert np.all(np.diff(np.array(corrected)[order]) >= 0)

    @given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=5))
    def test_is_the_closed_test_of_all_bonferroni_tests(self, p_values):
        indices = range(len(p_values))
        for index, corrected in zip(indices, holm(p_values), strict=True):
            subsets = (
                subset
                for size in range(1, len(p_values) + 1)
                for subset in itertools.combinations(indices, size)
                if index in subset
            )
            worst = max(min(1, len(subset) * min(p_values[i] for i in subset)) for subset in subsets)
            assert corrected == pytest.approx(worst)


class TestPairs:
    def test_only_seeds_that_both_have_are_compared(self):
        (found,) = compare_paired([{0: 0.9, 1: 0.8, 7: 0.1}], {0: 0.7, 1: 0.7, 2: 0.0})
        assert found.difference.n == 2
        assert found.difference.mean == pytest.approx(0.15)

    def test_pairing_sees_what_the_spread_of_seeds_would_hide(self, rng):
        base = dict(enumerate(rng.normal(0, 1, 6)))
        gain = {seed: value + 0.1 + 0.001 * seed for seed, value in base.items()}
        (found,) = compare_paired([gain], base)
        assert found.difference.low > 0
        assert found.p_value == smallest_p_value(6)

    def test_intervals_together_are_bonferronis(self, rng):
        base = dict.fromkeys(range(5), 0.0)
        settings = [dict(enumerate(rng.normal(0, 1, 5))) for _ in range(7)]
        for found, values in zip(compare_paired(settings, base), settings, strict=True):
            wide = mean_interval(list(values.values()), 1 - 0.05 / 7)
            assert (found.low_simultaneous, found.high_simultaneous) == (wide.low, wide.high)
            assert found.low_simultaneous < found.difference.low

    @pytest.mark.slow  # simulates 400 sweeps
    def test_together_they_cover_all_truths_as_often_as_they_say(self, rng):
        base = dict.fromkeys(range(5), 0.0)
        sound = 0
        for _ in range(400):
            settings = [dict(enumerate(rng.normal(0, 1, 5))) for _ in range(4)]
            found = compare_paired(settings, base)
            sound += all(each.low_simultaneous <= 0 <= each.high_simultaneous for each in found)
        assert sound / 400 > 0.92

    def test_pooled_deviation_weighs_by_degrees_of_freedom(self):
        settings = [{0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 4.0}, {0: 1.0}]
        found = compare_paired(settings, dict.fromkeys(range(3), 0.0))
        assert pooled_deviation(found) == pytest.approx(math.sqrt((2 * 1 + 1 * 8) / 3))
        assert pooled_deviation(found[2:]) is None


class TestPower:
    @pytest.mark.parametrize(("n", "deviation", "difference"), [(5, 0.02, 0.01), (12, 1.0, 0.9), (80, 3.0, 1.0)])
    def test_is_scipys_noncentral_t(self, n, deviation, difference):
        shift = difference * math.sqrt(n) / deviation
        critical = scipy.stats.t.ppf(0.975, n - 1)
        exact = scipy.stats.nct.sf(critical, n - 1, shift) + scipy.stats.nct.cdf(-critical, n - 1, shift)
        assert paired_power(n, deviation, difference) == pytest.approx(exact, abs=1e-9)

    def test_agrees_with_simulation(self, rng):
        t_tests = scipy.stats.ttest_1samp(rng.normal(0.01, 0.02, (20_000, 20)), 0, axis=1)
        assert paired_power(20, 0.02, 0.01) == pytest.approx((t_tests.pvalue < 0.05).mean(), abs=0.02)

    @given(st.floats(0.0005, 0.5))
    def test_the_fewest_seeds_reach_the_power_and_one_less_does_not(self, deviation):
        n = seeds_needed(deviation, 0.01)
        assert paired_power(n, deviation, 0.01) >= 0.8
        assert n == 2 or paired_power(n - 1, deviation, 0.01) < 0.8

    def test_a_known_sample_size(self):
        assert seeds_needed(1.0, 0.5) == 34  # of any table: effect 0.5, power 0.8, level 0.05, two-sided

    def test_too_many_to_ever_run_is_none(self):
        assert seeds_needed(100.0, 0.01) is None

    @given(st.integers(2, 50), st.floats(0.001, 1))
    def test_the_visible_difference_is_just_seen(self, n, deviation):
        assert paired_power(n, deviation, visible_difference(n, deviation)) == pytest.approx(0.8, abs=1e-6)

    def test_one_seed_sees_nothing(self):
        assert visible_difference(1, 0.1) is None


class TestOneStandardError:
    def means(self, *pairs):
        return [Mean(4, mean, None, None, None if error is None else 2 * error) for mean, error in pairs]

    def test_the_first_that_is_no_worse_than_an_error_below_the_best(self):
        assert within_one_standard_error(self.means((0.80, 0.1), (0.89, 0.01), (0.90, 0.02), (0.895, 0.1))) == (2, 1)

    def test_the_best_itself_where_nothing_is_near(self):
        assert within_one_standard_error(self.means((0.1, 0.5), (0.9, 0.01))) == (1, 1)

    def test_a_best_without_error_is_chosen(self):
        assert within_one_standard_error(self.means((0.1, None), (0.9, None), (0.9, None))) == (1, 1)

    def test_settings_without_a_number_are_passed_over(self):
        nothing = Mean(0, None, None, None, None)
        assert within_one_standard_error([nothing, *self.means((0.9, 0.1))]) == (1, 1)
        with pytest.raises(ValueError, match="no setting"):
            within_one_standard_error([nothing])


def test_chance_rarely_beats_chance():
    """Random scores of 60 photos: of 400 sweeps with 4 settings and one seed each, at most some 5% seem to learn."""
    random = np.random.default_rng(0)
    labels = np.arange(60) < 20
    learnt = 0
    for _ in range(400):
        ranks = np.argsort(np.argsort(random.random((4, 60)), 1), 1) + 1
        aucs = (ranks[:, labels].sum(1) - 20 * 21 / 2) / (20 * 40)
        learnt += beats_chance([mean_interval([auc]) for auc in aucs], 20, 40)
    assert learnt <= 0.08 * 400
    assert beats_chance([mean_interval([0.7, 0.72, 0.71])], 20, 40)
    assert not beats_chance([mean_interval([0.9])], 0, 40)
