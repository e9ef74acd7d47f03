"""The answer to one photo."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one photo, or the reason why there is none."""

    path: str
    probability: float | None
    label: str | None
    error: str | None
