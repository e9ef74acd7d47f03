"""A power law through a learning curve: error = floor + scale * photos ** -exponent.

The error of a network falls about so with the number of training photos (Hestness et al. 2017; Viering & Loog 2023,
"The Shape of Learning Curves"). Floor and scale are never negative: the law's error never rises and never falls
below 0, however far it is continued.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXPONENTS = np.geomspace(0.05, 2.0, 241)
"""The exponents that are tried, 1.5% apart; those of measured learning curves lie between 0.07 and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class PowerLaws:
    """One law for each row of errors."""

    floor: NDArray[np.float64]  # (rows,)
    scale: NDArray[np.float64]  # (rows,), of the photos that the exponent is a power of
    exponent: NDArray[np.float64]  # (rows,)

    def errors(self, photos: ArrayLike) -> NDArray[np.float64]:
        """Compute each law's error at numbers of photos (k,): (rows, k)."""
        at = np.asarray(photos, np.float64)[None, :]
        return self.floor[:, None] + self.scale[:, None] * at ** -self.exponent[:, None]


def fit_power_laws(photos: ArrayLike, errors: ArrayLike, weights: ArrayLike | None = None) -> PowerLaws:
    """Fit a law to each row of errors by weighted least squares.

    With its exponent given, a law is linear in floor and scale, and the best ones have a formula. The best of a grid of
    exponents is therefore the best of all, up to the grid's step; there is no start value and no local minimum.

    Args:
        photos: numbers of training photos (k,), positive and at least 3 different ones.
        errors: finite errors (rows, k), such as 1 - AUC.
        weights: weights of the sizes (k,), positive; equal unless given.

    Raises:
        ValueError: there are fewer than 3 sizes, or the shapes differ.
    """
    sizes, y = np.asarray(photos, np.float64), np.atleast_2d(np.asarray(errors, np.float64))  # (k,), (rows, k)
    w = np.ones_like(sizes) if weights is None else np.asarray(weights, np.float64)
    if len(set(sizes.tolist())) < 3 or sizes.min() <= 0 or y.shape[1] != len(sizes) or w.shape != sizes.shape:
        raise ValueError(f"a law needs 3 sizes and one error for each: {sizes.shape} photos, {y.shape} errors")
    w = w / w.sum()
    # Relative to the middle size, so that no power is too large or too small to add.
    middle = float(np.exp(np.log(sizes).mean()))
    x = (sizes / middle) ** -EXPONENTS[:, None]  # (exponents, k)
    mean_x, mean_y = x @ w, y @ w  # (exponents,), (rows,)
    spread = (x**2) @ w - mean_x**2
    slope = ((y * w) @ x.T - mean_y[:, None] * mean_x) / spread  # (rows, exponents)
    floor = mean_y[:, None] - slope * mean_x
    through_zero = ((y * w) @ x.T) / ((x**2) @ w)
    slope = np.where(floor < 0, through_zero, slope)
    floor = np.where(floor < 0, 0.0, floor)
    floor = np.where(slope < 0, np.maximum(mean_y, 0)[:, None], floor)
    slope = np.maximum(slope, 0.0)
    residuals = floor[:, :, None] + slope[:, :, None] * x[None] - y[:, None, :]  # (rows, exponents, k)
    best = np.argmin((residuals**2) @ w, axis=1)
    rows = np.arange(len(y))
    exponent = EXPONENTS[best]
    return PowerLaws(floor[rows, best], slope[rows, best] * middle**exponent, exponent)
