"""The answer to one photo."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one photo, or the reason why there is none.

    `burst` and `own_probability` are known where bursts share their answer: then `probability` is the burst's.
    """

    path: str
    probability: float | None
    label: str | None
    error: str | None
    burst: int | None = None  # its number, from 1 in the order of the bursts' first photos
    own_probability: float | None = None  # of the photo alone
