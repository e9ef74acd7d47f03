import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.evaluation.power_law import fit_power_laws

SIZES = np.array([16, 32, 64, 128, 256, 512])
FLOORS = st.floats(0, 0.2)
SCALES = st.floats(0.1, 2)
ERRORS = st.lists(st.floats(0, 1), min_size=6, max_size=6)


@given(FLOORS, SCALES, st.floats(0.06, 1.9))
def test_a_known_law_is_found_and_continued(floor, scale, exponent):
    errors = floor + scale * SIZES**-exponent
    laws = fit_power_laws(SIZES, errors)
    assert laws.errors(SIZES)[0] == pytest.approx(errors, abs=1e-3)
    assert laws.errors([1024])[0, 0] == pytest.approx(floor + scale * 1024**-exponent, abs=1e-3)


@given(ERRORS, st.lists(st.floats(0.01, 100), min_size=6, max_size=6))
def test_an_error_never_rises_and_never_falls_below_0(errors, weights):
    at = [16, 100, 512, 1024, 10**7]
    found = fit_power_laws(SIZES, errors, weights).errors(at)[0]
    assert (found >= 0).all()
    assert (np.diff(found) <= 1e-12).all()


@given(ERRORS)
def test_no_other_law_is_closer(errors):
    """The formula's best law beats a search by an optimizer that begins somewhere else."""
    from scipy.optimize import least_squares

    laws = fit_power_laws(SIZES, errors)
    ours = float(((laws.errors(SIZES)[0] - errors) ** 2).sum())
    found = least_squares(
        lambda law: law[0] + law[1] * (SIZES / 90) ** -law[2] - errors,
        x0=[0.1, 0.1, 0.5],
        bounds=([0, 0, 0.05], [np.inf, np.inf, 2]),
    )
    assert ours <= 2 * found.cost + 1e-3 * (1 + 2 * found.cost)


def test_rows_are_fitted_one_by_one():
    rows = np.random.default_rng(0).uniform(size=(5, 6))
    together = fit_power_laws(SIZES, rows).errors([1024])[:, 0]
    assert together == pytest.approx([fit_power_laws(SIZES, row).errors([1024])[0, 0] for row in rows])


def test_a_heavy_point_draws_the_law_to_it():
    errors = np.array([0.4, 0.3, 0.25, 0.2, 0.18, 0.3])
    light, heavy = (fit_power_laws(SIZES, errors, [1, 1, 1, 1, 1, weight]).errors([512])[0, 0] for weight in (1, 1000))
    assert abs(heavy - 0.3) < abs(light - 0.3)


@pytest.mark.parametrize(("sizes", "errors"), [([1, 2], [0, 0]), ([0, 1, 2], [0, 0, 0]), ([1, 2, 3], [0, 0])])
def test_what_determines_no_law_is_refused(sizes, errors):
    with pytest.raises(ValueError, match="3 sizes"):
        fit_power_laws(sizes, errors)
