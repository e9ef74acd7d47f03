"""The answer to one photo."""

from dataclasses import dataclass

from bearcnn.data.regions import Box


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
    box: Box | None = None
    """The animal's box or the tile that the answer is from, as shares of the photo; None for its whole frame."""

    @property
    def bbox(self) -> list[float] | None:
        """The box as MegaDetector writes it: left, top, width and height."""
        if self.box is None:
            return None
        left, top, right, bottom = self.box
        return [round(value, 4) for value in (left, top, right - left, bottom - top)]
