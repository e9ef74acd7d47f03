"""The number of photos with each answer, counted while the predictions pass by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bearcnn.inference.prediction import Prediction

UNREADABLE = "unreadable"
"""Stands for the label of a photo that can't be read."""


@dataclass(slots=True)
class Tally:
    """Counts of labels, in the order given; a photo without an answer counts as unreadable."""

    labels: tuple[str, ...]
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys([*self.labels, UNREADABLE], 0)

    def count(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count the predictions on their way."""
        for prediction in predictions:
            self.counts[prediction.label or UNREADABLE] += 1
            yield prediction

    @property
    def photos(self) -> int:
        """The number of photos so far."""
        return sum(self.counts.values())

    @property
    def unreadable(self) -> int:
        """The number of photos without an answer so far."""
        return self.counts[UNREADABLE]
