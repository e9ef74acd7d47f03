import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from bearcnn.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    apply_temperature,
    cross_fit,
    fit_temperature,
    log_odds,
    measure_reliability,
)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def draw(seed: int, n: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and log-odds that are `temperature` times too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, n)
    return (generator.random(n) < sigmoid(logits)).astype(int), logits * temperature


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 200), st.floats(0.3, 4))
def test_no_temperature_within_the_bounds_has_a_lower_log_loss(seed: int, n: int, temperature: float) -> None:
    labels, logits = draw(seed, n, temperature)
    if ((logits > 0) == (labels == 1)).all():
        return

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, np.where(labels == 1, -1, 1) * logits / math.exp(log_temperature)).mean())

    best = minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded").fun
    assert loss(math.log(fit_temperature(labels, logits))) <= best + 1e-9


def test_a_known_temperature_is_found_again() -> None:
    assert fit_temperature(*draw(1, 20_000, 2.5)) == pytest.approx(2.5, rel=0.05)


def test_photos_without_a_mistake_dont_make_it_surer() -> None:
    assert fit_temperature([1, 1, 0], [2.0, 5.0, -1.0]) == 1.0
    assert fit_temperature([], []) == 1.0


def test_a_network_that_is_always_wrong_becomes_as_unsure_as_it_can() -> None:
    assert fit_temperature([1, 0], [-3.0, 3.0]) == HIGHEST


def test_one_tiny_mistake_stops_at_the_bound() -> None:
    assert fit_temperature([1] * 50 + [0], [0.5] * 50 + [1e-9]) == LOWEST


def test_a_temperature_is_undone_by_its_inverse() -> None:
    probabilities = np.linspace(0.001, 0.999, 50)
    assert apply_temperature(apply_temperature(probabilities, 1.7), 1 / 1.7) == pytest.approx(probabilities)
    assert np.isfinite(log_odds(np.float32([0, 1]))).all()


def test_cross_fitting_never_shows_a_photo_to_its_own_temperature() -> None:
    labels, logits = draw(4, 30, 3.0)
    calibrated = cross_fit(labels, logits)
    for photo in range(30):
        temperature = logits[photo] / log_odds(calibrated[photo : photo + 1])[0]
        members = [
            other
            for other in range(30)
            if logits[other] / log_odds(calibrated[other : other + 1])[0] == pytest.approx(temperature, rel=1e-9)
        ]
        held = np.isin(np.arange(30), members)
        assert temperature == pytest.approx(fit_temperature(labels[~held], logits[~held]), rel=1e-6)


def slow_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    total = 0.0
    for low in range(10):
        inside = [
            (label, probability)
            for label, probability in zip(labels, probabilities, strict=True)
            if low <= probability * 10 < low + 1 or (low == 9 and probability == 1)
        ]
        if inside:
            total += abs(sum(label for label, _ in inside) - sum(probability for _, probability in inside))
    return total / len(labels)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60))
def test_reliability_agrees_with_a_plain_loop_and_scikit_learn(sample: list[tuple[int, float]]) -> None:
    labels, probabilities = np.array([a for a, _ in sample]), np.array([b for _, b in sample])
    found = measure_reliability(labels, probabilities)
    assert found.calibration_error == pytest.approx(slow_calibration_error(labels, probabilities), abs=1e-9)
    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities, labels=[0, 1]))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities, labels=[0, 1]))
    assert sum(row.photos for row in found.bins) == len(sample)


def test_chance_alone_explains_the_error_of_a_calibrated_model() -> None:
    labels, logits = draw(2, 300, 1.0)
    found = measure_reliability(labels, sigmoid(logits))
    assert 0.5 < found.calibration_error / found.error_by_chance < 2
    wrong = measure_reliability(labels, sigmoid(4 * logits))
    assert wrong.calibration_error > 2 * wrong.error_by_chance
