import dataclasses

import numpy as np
import pytest

from bearcnn.evaluation.learning_curve import FALSE_ALARMS, RECALL, SATURATED, answer, measure_curve
from bearcnn.evaluation.metrics import score
from bearcnn.evaluation.thresholds import choose_for_recall

SIZES = (16, 32, 64, 128, 256, 512)
LABELS = np.random.default_rng(0).permutation(np.arange(400) % 2)


def draw(separation, seeds=5, labels=LABELS, noise=0.0, sizes=SIZES):
    """Probabilities of networks whose classes lie `separation(photos)` apart; the photos' own luck is the same."""
    luck = np.random.default_rng(1).normal(size=len(labels))
    runs = {}
    for place, photos in enumerate(sizes):
        runs[photos] = {}
        for seed in range(seeds):
            random = np.random.default_rng([seed, place])
            score = separation(photos) * labels + 0.9 * luck + 0.45 * random.normal(size=len(labels))
            score += noise * random.normal() * labels
            runs[photos][seed] = (1 / (1 + np.exp(-score))).astype(np.float32)
    return runs


def falling(photos):
    """About the separation at which 1 - AUC is 1.2 photos ** -0.5."""
    from statistics import NormalDist

    return 2**0.5 * NormalDist().inv_cdf(1 - 1.2 * photos**-0.5)


class TestMeasurement:
    def test_the_scores_are_those_of_each_run(self):
        runs = draw(lambda photos: 1.0, seeds=3, sizes=(16, 32))
        curve = measure_curve(LABELS, runs, resamples=50)
        for point in curve.points:
            singles = [runs[point.photos][seed] for seed in range(3)]
            assert point.aucs == pytest.approx([score(LABELS, each)["roc_auc"] for each in singles])
            recalls, alarms = [], []
            for each in singles:
                loudest = np.sort(each[LABELS == 0])[::-1][int(FALSE_ALARMS * 200)]
                recalls.append((each[LABELS == 1] > loudest).mean())
                threshold = choose_for_recall(LABELS, each, RECALL).threshold
                alarms.append((each[LABELS == 0] >= threshold).mean())
            assert point.recall.value == pytest.approx(np.mean(recalls))
            assert point.false_alarms.value == pytest.approx(np.mean(alarms))

    def test_ties_are_called_together(self):
        labels = np.array([1, 0, 1, 0])
        curve = measure_curve(labels, {16: {0: np.full(4, 0.5, np.float32)}}, resamples=20)
        assert curve.points[0].roc_auc.value == 0.5
        assert curve.points[0].recall.value == 0
        assert curve.points[0].false_alarms.value == 1

    def test_the_interval_holds_the_value_and_shrinks_with_more_photos(self):
        widths = []
        for count in (60, 600):
            labels = np.arange(count) % 2
            curve = measure_curve(labels, draw(lambda photos: 1.0, labels=labels, sizes=(16,)), resamples=300)
            auc = curve.points[0].roc_auc
            assert auc.low < auc.value < auc.high
            widths.append(auc.high - auc.low)
        assert widths[1] < widths[0] / 2

    def test_a_difference_between_sizes_is_free_of_the_luck_of_the_photos(self):
        curve = measure_curve(LABELS, draw(lambda photos: 0.8 + photos / 2000), resamples=300)
        last = curve.points[-1].roc_auc
        assert curve.rise.high - curve.rise.low < last.high - last.low

    def test_a_size_with_fewer_finished_runs_counts_with_those(self):
        runs = draw(falling)
        del runs[64][2], runs[64][3]
        assert [point.runs for point in measure_curve(LABELS, runs, resamples=50).points] == [5, 5, 3, 5, 5, 5]

    def test_nothing_finished_is_an_error(self):
        with pytest.raises(ValueError, match="not one size"):
            measure_curve(LABELS, {16: {}})


class TestExtrapolation:
    def test_a_curve_that_follows_the_law_is_continued(self):
        curve = measure_curve(LABELS, draw(falling), resamples=300)
        guess = curve.extrapolation
        assert curve.reason == ""
        assert guess.photos == 1024
        assert guess.roc_auc.low <= 1 - 1.2 * 1024**-0.5 <= guess.roc_auc.high
        assert curve.points[-1].roc_auc.value < guess.roc_auc.value < 1
        assert guess.gain.low > 0
        text = answer(curve)
        assert text.startswith("More photos would help. With 512 training photos the AUC is 0.9")
        assert "twice as many (1,024) would give about 0.9" in text
        assert "a curve through 6 points: a guess, not a measurement" in text

    def test_the_largest_size_is_predicted_from_the_others(self):
        check = measure_curve(LABELS, draw(falling), resamples=300).check
        assert check.predicted.low < check.measured < check.predicted.high
        assert check.excess.low < 0 < check.excess.high
        assert check.excess.high - check.excess.low < check.predicted.high - check.predicted.low, "the same photos"

    def test_a_network_no_better_on_its_own_photos_needs_training_first(self):
        runs, training = draw(lambda photos: 1.0), dict.fromkeys(SIZES, 0.78)
        assert answer(measure_curve(LABELS, runs, training, resamples=50)).startswith("Train longer before you add")
        training[512] = 1.0
        assert "longer training" not in answer(measure_curve(LABELS, runs, training, resamples=50))
        near = measure_curve(LABELS, draw(lambda photos: 3.5), dict.fromkeys(SIZES, 1.0), resamples=50)
        assert 0.99 < near.points[-1].roc_auc.value < SATURATED
        assert "longer training" not in answer(near), "nothing is left to learn from these photos"

    @pytest.mark.parametrize(
        ("runs", "why"),
        [
            (draw(lambda photos: 1.0), "the curve is flat"),
            (draw(lambda photos: 6.0), "already"),
            (draw(falling, seeds=2), "at least 3 finished runs"),
            (draw(falling, sizes=(16, 64, 512)), "at least 4 sizes"),
            (draw(lambda photos: 0.3 if photos < 512 else 2.5), "promised"),
            (draw(lambda photos: {16: 0.2, 32: 1.6, 64: 0.3, 128: 1.7, 256: 1.0}.get(photos, 1.2)), "power law"),
        ],
    )
    def test_what_can_not_be_trusted_gets_a_reason_and_no_number(self, runs, why):
        curve = measure_curve(LABELS, runs, resamples=200)
        assert curve.extrapolation is None
        assert why in curve.reason
        assert f"There is no number for twice as many, because {curve.reason}." in answer(curve)
        assert "would give about" not in answer(curve)

    def test_a_curve_that_has_levelled_off_promises_little(self):
        curve = measure_curve(LABELS, draw(lambda photos: 1.5 - 20 / photos**1.2), resamples=300)
        assert answer(curve).startswith(("More photos of this kind would", "These runs"))
        assert curve.extrapolation is None or curve.extrapolation.gain.value < 0.02

    def test_an_auc_near_1_says_that_more_photos_hardly_help(self):
        curve = measure_curve(LABELS, draw(lambda photos: 6.0), resamples=50)
        assert curve.points[-1].roc_auc.value > SATURATED
        assert answer(curve).startswith("More photos of this kind would hardly help")

    def test_a_perfect_score_on_six_validation_photos_says_nothing(self):
        labels = np.array([0, 1] * 3)
        curve = measure_curve(labels, draw(lambda photos: 9.0, labels=labels), resamples=50)
        last = curve.points[-1]
        assert last.roc_auc.value == last.recall.value == 1
        assert last.roc_auc.low < 0.8
        assert last.recall.low < 0.5
        assert last.false_alarms.high > 0.5
        assert answer(curve).startswith("These runs can't say")
        assert "6 validation photos (3 positive) are too few" in answer(curve)
        assert curve.extrapolation is None

    def test_the_json_is_plain(self):
        import json

        content = json.loads(json.dumps(measure_curve(LABELS, draw(falling), resamples=50).to_json()))
        assert content["extrapolation"]["photos"] == 1024
        assert [point["photos"] for point in content["points"]] == list(SIZES)
        assert content["answer"]

    def test_the_same_seed_gives_the_same_curve(self):
        first, again = (measure_curve(LABELS, draw(falling), resamples=50) for _ in range(2))
        assert dataclasses.asdict(first) == dataclasses.asdict(again)
