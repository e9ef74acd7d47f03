import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from sklearn import metrics as sk

from bearcnn.evaluation import resampling
from bearcnn.evaluation.intervals import Estimate, wilson_interval
from bearcnn.evaluation.metrics import METRICS, Confusion, Evaluation, compare, evaluate, evaluate_repeats, score

# Few distinct probabilities make ties, and hits exactly on the threshold, common.
PROBABILITIES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0]) | st.floats(0, 1)
SAMPLES = st.lists(st.tuples(st.integers(0, 1), PROBABILITIES), min_size=1, max_size=40)
THRESHOLDS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)


BOOTSTRAPPED = {"roc_auc", "average_precision", "brier", "log_loss"}


def arrays(sample: list[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.array([label for label, _ in sample]), np.array([probability for _, probability in sample])


def simulate(generator: np.random.Generator, n: int, distance: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and probabilities whose true ROC AUC is known: normal logits, `distance` standard deviations apart."""
    labels = generator.integers(0, 2, n)
    return labels, 1 / (1 + np.exp(-(generator.normal(size=n) + distance * (labels - 0.5))))


def by_scikit_learn(
    labels: NDArray[Any], probabilities: NDArray[Any], threshold: float, weights: NDArray[Any] | None = None
) -> dict[str, float]:
    weights = np.ones(len(labels)) if weights is None else weights
    labels, probabilities, weights = labels[weights > 0], probabilities[weights > 0], weights[weights > 0]
    answers = (probabilities >= threshold).astype(int)
    both, any_positive = len(set(labels)) == 2, labels.any()
    nan = math.nan
    return {
        "roc_auc": sk.roc_auc_score(labels, probabilities, sample_weight=weights) if both else nan,
        "average_precision": sk.average_precision_score(labels, probabilities, sample_weight=weights)
        if any_positive
        else nan,
        "accuracy": sk.accuracy_score(labels, answers, sample_weight=weights),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, answers, sample_weight=weights) if both else nan,
        "precision": sk.precision_score(labels, answers, sample_weight=weights, zero_division=nan),
        "recall": sk.recall_score(labels, answers, sample_weight=weights, zero_division=nan),
        "false_positive_rate": sk.recall_score(1 - labels, answers, sample_weight=weights, zero_division=nan)
        if both or not any_positive
        else nan,
        "f1": sk.f1_score(labels, answers, sample_weight=weights, zero_division=nan),
        "brier": sk.brier_score_loss(labels, probabilities, sample_weight=weights, labels=[0, 1]),
        "log_loss": sk.log_loss(labels, probabilities, sample_weight=weights, labels=[0, 1]),
    }


@given(SAMPLES, THRESHOLDS)
def test_every_metric_agrees_with_scikit_learn(sample: list[tuple[int, float]], threshold: float) -> None:
    labels, probabilities = arrays(sample)
    ours, theirs = score(labels, probabilities, threshold), by_scikit_learn(labels, probabilities, threshold)
    assert ours.keys() == theirs.keys() == METRICS.keys()
    for name in METRICS:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9, abs=1e-12, nan_ok=True), name


@given(SAMPLES)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order_where_a_tie_counts_half(
    sample: list[tuple[int, float]],
) -> None:
    bears = [probability for label, probability in sample if label]
    others = [probability for label, probability in sample if not label]
    pairs = [(bear > other) + (bear == other) / 2 for bear in bears for other in others]
    expected = sum(pairs) / len(pairs) if pairs else math.nan
    assert score(*arrays(sample))["roc_auc"] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(SAMPLES)
def test_average_precision_is_precision_summed_over_gains_in_recall(sample: list[tuple[int, float]]) -> None:
    labels, probabilities = arrays(sample)
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(probabilities), reverse=True):
        answers = probabilities >= threshold
        found = int(labels[answers].sum())
        if labels.any():
            expected += (found / labels.sum() - recall) * found / answers.sum()
            recall = found / labels.sum()
    ours = score(labels, probabilities)["average_precision"]
    assert ours == pytest.approx(expected if labels.any() else math.nan, abs=1e-12, nan_ok=True)


@given(SAMPLES, THRESHOLDS)
def test_confusion_counts_photos_at_the_threshold_as_positive(
    sample: list[tuple[int, float]], threshold: float
) -> None:
    counted = [(label, probability >= threshold) for label, probability in sample]
    expected = Confusion(*(counted.count(cell) for cell in [(1, True), (0, True), (1, False), (0, False)]))
    assert evaluate(*arrays(sample), threshold=threshold, resamples=1).confusion == expected


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_the_photos_changes_no_metric(sample: list[tuple[int, float]], random: Any) -> None:
    shuffled = random.sample(sample, len(sample))
    assert score(*arrays(shuffled)) == pytest.approx(score(*arrays(sample)), abs=1e-12, nan_ok=True)


def test_undefined_numbers_are_nan_in_scores_and_none_in_estimates() -> None:
    no_bear = score([0, 0, 0], [0.1, 0.2, 0.3])
    assert {name for name, value in no_bear.items() if math.isnan(value)} == {
        "roc_auc",
        "average_precision",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
    }
    result = evaluate([0, 0, 0], [0.1, 0.2, 0.3], resamples=50)
    assert result.estimates["recall"] == Estimate(None, None, None)
    assert str(result.estimates["roc_auc"]) == "undefined"
    assert result.estimates["accuracy"].value == 1.0


def test_nothing_to_evaluate_leaves_every_number_undefined() -> None:
    result = evaluate([], [], resamples=10)
    assert (result.n, result.positives, result.confusion) == (0, 0, Confusion(0, 0, 0, 0))
    assert set(result.estimates.values()) == {Estimate(None, None, None)}


def test_a_single_bear_gives_intervals_from_the_resamples_that_hold_it() -> None:
    probabilities = np.linspace(0, 1, 30)
    result = evaluate(np.arange(30) == 20, probabilities, resamples=500)
    auc = result.estimates["roc_auc"]
    assert auc.value == pytest.approx(20 / 29)
    assert auc.low is not None and auc.high is not None and 0 < auc.low < auc.value < auc.high < 1


@pytest.mark.slow  # scikit-learn's metrics, 80 times
def test_bootstrap_intervals_equal_a_plain_loop_over_the_same_resamples() -> None:
    labels, probabilities = simulate(np.random.default_rng(5), 60)
    probabilities = probabilities.round(1)
    ranking = resampling.rank(labels, probabilities, 0.4)
    order = np.argsort(-probabilities, kind="stable")
    counts = np.concatenate(list(resampling.resample(60, 80, seed=3)))
    assert counts.shape == (80, 60) and (counts.sum(axis=1) == 60).all()
    slow = [by_scikit_learn(labels[order], probabilities[order], 0.4, row) for row in counts]
    assert (ranking.labels == labels[order]).all()
    result = evaluate(labels, probabilities, threshold=0.4, resamples=80, seed=3)
    for name in BOOTSTRAPPED:
        low, high = np.quantile([row[name] for row in slow], [0.025, 0.975])
        estimate = result.estimates[name]
        assert (estimate.low, estimate.high) == (pytest.approx(low), pytest.approx(high)), name


def test_each_photo_is_drawn_as_often_as_any_other() -> None:
    counts = np.concatenate(list(resampling.resample(20, 5000, seed=0)))
    # A draw's count is binomial(20, 1/20): mean 1, variance 0.95.
    assert np.abs(counts.mean(axis=0) - 1).max() < 5 * math.sqrt(0.95 / 5000)
    assert counts.var() == pytest.approx(0.95, rel=0.03)


def test_the_size_of_the_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = simulate(np.random.default_rng(1), 101)
    whole = evaluate(labels, probabilities, resamples=333)
    monkeypatch.setattr(resampling, "_CELLS_AT_ONCE", 1000)
    assert evaluate(labels, probabilities, resamples=333) == whole


def test_the_seed_decides_the_intervals() -> None:
    labels, probabilities = simulate(np.random.default_rng(1), 80)
    first, again, other = (evaluate(labels, probabilities, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.estimates["roc_auc"] != other.estimates["roc_auc"]


@pytest.mark.slow  # simulates 300 evaluations
def test_95_percent_intervals_hold_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(11)
    labels, probabilities = simulate(generator, 1_000_000)
    truth = score(labels, probabilities)
    assert truth["roc_auc"] == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.002)
    held = dict.fromkeys(METRICS, 0)
    for trial in range(300):
        estimates = evaluate(*simulate(generator, 200), resamples=400, seed=trial).estimates
        for name, estimate in estimates.items():
            assert estimate.low is not None and estimate.high is not None
            held[name] += estimate.low <= truth[name] <= estimate.high
    # Of 300 intervals that hold the truth with probability 0.95, 272 to 297 do (all but 1 in 1,000 times).
    assert {name for name, times in held.items() if not 270 <= times <= 298} == set(), held


def test_more_confidence_and_fewer_photos_make_wider_intervals() -> None:
    labels, probabilities = simulate(np.random.default_rng(2), 400)

    def width(photos: int, confidence: float, name: str) -> float:
        estimate = evaluate(labels[:photos], probabilities[:photos], confidence=confidence).estimates[name]
        assert estimate.low is not None and estimate.high is not None
        return estimate.high - estimate.low

    for name in METRICS:
        assert width(400, 0.8, name) < width(400, 0.95, name) < width(50, 0.95, name)


def test_a_perfect_ranking_of_few_photos_does_not_claim_certainty() -> None:
    result = evaluate([1] * 5 + [0] * 5, [0.9] * 5 + [0.1] * 5)
    for name in METRICS.keys() - {"brier", "log_loss"}:
        estimate = result.estimates[name]
        assert estimate.low is not None and estimate.high is not None and estimate.high - estimate.low > 0.2, name


@pytest.mark.slow  # scikit-learn's metrics, 80 times
def test_differences_of_two_models_are_those_of_a_plain_loop_over_paired_resamples() -> None:
    labels, before = simulate(np.random.default_rng(6), 40)
    after = np.random.default_rng(7).random(40).round(1)
    found = compare(labels, before, after, thresholds=(0.4, 0.6), resamples=40, seed=3)
    counts = np.concatenate(list(resampling.resample(40, 40, seed=3)))
    rows = [(by_scikit_learn(labels, before, 0.4, row), by_scikit_learn(labels, after, 0.6, row)) for row in counts]
    whole = score(labels, before, 0.4), score(labels, after, 0.6)
    for name in METRICS:
        low, high = np.quantile([new[name] - old[name] for old, new in rows], [0.025, 0.975])
        estimate = found[name]
        assert estimate.value == pytest.approx(whole[1][name] - whole[0][name]), name
        assert (estimate.low, estimate.high) == (pytest.approx(low), pytest.approx(high)), name


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    labels, probabilities = simulate(np.random.default_rng(8), 50)
    assert set(compare(labels, probabilities, probabilities, resamples=50).values()) == {Estimate(0.0, 0.0, 0.0)}


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.5, 0.999))
def test_wilson_intervals_agree_with_scipy(successes: int, trials: int, confidence: float) -> None:
    successes = min(successes, trials)
    theirs = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, trials, confidence)
    assert (low, high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))
    assert 0 <= low <= successes / trials <= high <= 1


def test_finding_every_bear_of_few_does_not_claim_certainty() -> None:
    recall = evaluate([1] * 20 + [0] * 5, [0.9] * 20 + [0.1] * 5).estimates["recall"]
    assert str(recall) == "1.000 (0.839 to 1.000)"


def test_proportions_use_the_confusion_counts() -> None:
    labels, probabilities = simulate(np.random.default_rng(4), 150)
    result = evaluate(labels, probabilities, threshold=0.6, confidence=0.9)
    cells = result.confusion
    for name, successes, trials in [
        ("accuracy", cells.true_positive + cells.true_negative, result.n),
        ("precision", cells.true_positive, cells.true_positive + cells.false_positive),
        ("recall", cells.true_positive, result.positives),
        ("false_positive_rate", cells.false_positive, result.n - result.positives),
    ]:
        assert result.estimates[name] == Estimate(successes / trials, *wilson_interval(successes, trials, 0.9))


@pytest.mark.parametrize("sample", [([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.7]), ([0, 0], [0.1, 0.8]), ([], [])])
def test_an_evaluation_survives_strict_json(sample: tuple[list[int], list[float]]) -> None:
    result = evaluate(*sample, resamples=20)
    text = json.dumps(result.to_json(), allow_nan=False)
    assert Evaluation.from_json(json.loads(text)) == result


def test_single_precision_probabilities_are_compared_as_double() -> None:
    below = np.array([0.7], np.float32)  # 0.699999988
    assert evaluate([1], below, threshold=0.7, resamples=1).confusion.true_positive == 0
    assert evaluate([1], below, threshold=float(below[0]), resamples=1).confusion.true_positive == 1


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold"),
    [
        ([0, 1], [0.5], 0.5),
        ([[0, 1]], [[0.5, 0.5]], 0.5),
        ([0, 2], [0.5, 0.5], 0.5),
        ([0, 0.5], [0.5, 0.5], 0.5),
        ([0, 1], [0.5, math.nan], 0.5),
        ([0, 1], [0.5, 1.1], 0.5),
        ([0, 1], [-0.1, 0.5], 0.5),
        ([0, 1], [0.5, 0.5], math.nan),
        ([0, 1], [0.5, 0.5], 1.5),
    ],
)
def test_values_outside_their_range_are_refused(labels: Any, probabilities: Any, threshold: float) -> None:
    with pytest.raises(ValueError, match="must"):
        score(labels, probabilities, threshold)
    with pytest.raises(ValueError, match="must"):
        evaluate(labels, probabilities, threshold=threshold)


@pytest.mark.parametrize("options", [{"resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}])
def test_impossible_intervals_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        evaluate([0, 1], [0.5, 0.5], **options)


class TestRepeats:
    """Several trainings' predictions for the same photos."""

    def test_the_value_is_the_mean_of_the_single_ones(self, rng):
        labels = rng.integers(0, 2, 60)
        repeats = np.clip(labels * 0.3 + rng.uniform(0, 0.7, (4, 60)), 0, 1)
        found = evaluate_repeats(labels, repeats, resamples=50)
        for name, estimate in found.items():
            assert estimate.value == pytest.approx(np.mean([score(labels, each)[name] for each in repeats]))
            assert estimate.low <= estimate.value <= estimate.high

    def test_one_training_alone_is_the_plain_bootstrap(self, rng):
        labels = rng.integers(0, 2, 80)
        one = np.clip(labels * 0.2 + rng.uniform(0, 0.8, 80), 0, 1)
        found = evaluate_repeats(labels, one, resamples=400)["roc_auc"]
        plain = evaluate(labels, one, resamples=400).estimates["roc_auc"]
        assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.03)

    def test_trainings_that_differ_widen_the_interval(self, rng):
        labels = rng.integers(0, 2, 300)
        good, bad = labels * 0.5 + rng.uniform(0, 0.5, 300), rng.uniform(0, 1, 300)
        alike = evaluate_repeats(labels, [bad, bad, bad, bad], resamples=300)["roc_auc"]
        mixed = evaluate_repeats(labels, [good, good, bad, bad], resamples=300)["roc_auc"]
        assert mixed.high - mixed.low > 1.5 * (alike.high - alike.low)

    @pytest.mark.slow  # simulates 120 evaluations
    def test_covers_the_truth_of_photos_and_seeds_together(self):
        # Scores of seed s: separation 1 + 0.2 * z_s, so that the true mean AUC is that of all seeds and photos.
        random = np.random.default_rng(3)
        spread = np.linspace(-3, 3, 601)
        truth = np.average(norm.cdf((1 + 0.2 * spread) / np.sqrt(2)), weights=norm.pdf(spread))
        hits = 0
        for _ in range(120):
            labels = np.repeat([0, 1], 60)
            noise = random.normal(0, 1, 120)
            scores = [
                norm.cdf(noise * 0.7 + random.normal(0, 0.714, 120) + labels * (1 + 0.2 * random.normal()))
                for _ in range(8)
            ]
            found = evaluate_repeats(labels, scores, resamples=200)["roc_auc"]
            hits += found.low <= truth <= found.high
        assert hits / 120 > 0.88


def test_clusters_of_one_photo_give_the_scores_of_photos_and_whole_clusters_wider_intervals() -> None:
    generator = np.random.default_rng(2)
    labels, probabilities = simulate(generator, 60)
    alone = evaluate(labels, probabilities, clusters=np.arange(60))
    photos = evaluate(labels, probabilities)
    for name in BOOTSTRAPPED:  # the same draws, of photos in another order
        low, high = photos.estimates[name].low, photos.estimates[name].high
        assert (alone.estimates[name].low, alone.estimates[name].high) == pytest.approx((low, high), abs=0.03)
    assert alone.confusion == photos.confusion and (alone.clusters, photos.clusters) == (60, None)
    # Each photo five times is no more to learn from: with clusters, the intervals stay; without, they shrink.
    many = evaluate(np.repeat(labels, 5), np.repeat(probabilities, 5), clusters=np.repeat(np.arange(60), 5))
    naive = evaluate(np.repeat(labels, 5), np.repeat(probabilities, 5))
    for name in ("roc_auc", "average_precision", "recall", "accuracy", "f1"):
        width, narrow, true = (
            (each.estimates[name].high or 0) - (each.estimates[name].low or 0) for each in (many, naive, photos)
        )
        assert narrow < 0.7 * true < width < 1.2 * true
    names = evaluate(labels, probabilities, clusters=[f"site {number}" for number in range(60)])
    assert names.clusters == 60
    with pytest.raises(ValueError, match="one for each photo"):
        evaluate(labels, probabilities, clusters=[1, 2])


def test_clusters_drawn_whole_are_those_of_a_plain_loop() -> None:
    clusters = np.array([0, 0, 1, 2, 2, 2])
    chunks = np.concatenate(list(resampling.resample(6, 500, 3, clusters)))
    assert (chunks[:, 0] == chunks[:, 1]).all() and (chunks[:, 3] == chunks[:, 5]).all()
    assert (chunks[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert chunks[:, [0, 2, 3]].mean(axis=0) == pytest.approx([1, 1, 1], abs=0.15)
    labels, before, after = np.array([1, 0, 1, 0, 1, 0]), np.linspace(0.2, 0.7, 6), np.linspace(0.9, 0.1, 6)
    found = compare(labels, before, after, clusters=clusters, resamples=200)["brier"]
    drawn = np.concatenate(list(resampling.resample(6, 200, 0, clusters)))
    losses = (after - labels) ** 2 - (before - labels) ** 2
    plain = np.quantile((drawn * losses).sum(axis=1) / drawn.sum(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(plain))
