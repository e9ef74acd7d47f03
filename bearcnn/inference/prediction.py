"""The answer to one photo."""

from dataclasses import dataclass

from bearcnn.data.regions import Box


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one photo, or the reason why there is none."""

    path: str
    probability: float | None
    label: str | None
    error: str | None
    box: Box | None = None
    """The animal's box or the tile that the answer is from, as shares of the photo; None for its whole frame."""
