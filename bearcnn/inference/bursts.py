"""Bursts of frames share one answer: the animal that turns away in one of them has been seen in another."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from bearcnn.data.metadata import Metadata, read_metadata
from bearcnn.errors import BearcnnError
from bearcnn.inference.durations import read_seconds
from bearcnn.inference.labels import Labelling, log_odds
from bearcnn.inference.prediction import Prediction

MOST_HELD = 1000
"""Predictions held until a burst ends; a longer series, such as a time lapse, is no burst and is divided."""


def parse_gap(text: str) -> timedelta:
    """Read the longest pause within a burst, such as `60s`, `90` or `2m`.

    Raises:
        BearcnnError: it is no such time.
    """
    seconds = read_seconds(text.lower())
    if seconds is None:
        raise BearcnnError(
            f"`bursts` {text}: expected the longest pause between two photos of a burst, such as 60s or 2m"
        )
    return timedelta(seconds=seconds)


@dataclass(slots=True)
class _Burst:
    number: int
    taken: datetime | None = None  # the latest frame
    probabilities: list[float] = field(default_factory=list)
    ended: bool = False
    shared: float | None = None  # once it has ended


@dataclass(slots=True)
class Bursts:
    """Bursts, found while predictions pass by in the order of the photos.

    A photo belongs to the burst of the photo before it that the same camera took into the same folder, if no more than
    `gap` lies between them. A burst ends with the first photo beyond that, and with the folder. A photo without a time
    is alone.
    """

    gap: timedelta
    labelling: Labelling
    answer: str = "mean"  # of BURST_ANSWERS
    read: Callable[[Path], Metadata] = read_metadata
    found: int = 0
    """The number of bursts with two photos or more."""
    photos: int = 0
    """The number of photos in them."""
    lowered: int = 0
    """The number of photos that are positive alone, and not in their burst."""
    without_time: int = 0
    """The number of photos whose time is unknown."""
    backwards: int = 0
    """The number of photos that are much older than the one listed before them: names in another order than times."""
    numbers: int = 0
    """The number of the latest burst; the next one has the next number."""
    _folder: Path | None = None
    _latest: dict[str | None, _Burst] = field(default_factory=dict)  # of each camera of the folder

    def share(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield predictions in their order, those of a burst with its answer, once the burst has ended.

        No more than `MOST_HELD` are held. A photo that can't be read has no part in a burst.
        """
        held: deque[tuple[Prediction, _Burst | None]] = deque()
        for prediction in predictions:
            held.append((prediction, self._place(prediction)))
            if len(held) > MOST_HELD and (longest := held[0][1]):
                longest.ended = True
            yield from self._take_ended(held)
        self._leave_folder()
        yield from self._take_ended(held)

    def _place(self, prediction: Prediction) -> _Burst | None:
        """Add a photo to the burst that it belongs to."""
        path = Path(prediction.path)
        if path.parent != self._folder:
            self._leave_folder()
            self._folder = path.parent
        if prediction.probability is None:
            return None
        metadata = self.read(path)
        burst = self._latest.get(metadata.camera)
        if metadata.taken is None:
            self.without_time += 1
            burst = self._begin()
            burst.ended = True
        elif burst is None or burst.ended or not self._goes_on(burst, metadata.taken):
            if burst is not None:
                burst.ended = True
            burst = self._latest[metadata.camera] = self._begin()
        burst.taken = metadata.taken
        burst.probabilities.append(prediction.probability)
        return burst

    def _begin(self) -> _Burst:
        self.numbers += 1
        return _Burst(self.numbers)

    def _goes_on(self, burst: _Burst, taken: datetime) -> bool:
        assert burst.taken is not None
        self.backwards += burst.taken - taken > self.gap
        return abs(taken - burst.taken) <= self.gap

    def _leave_folder(self) -> None:
        for burst in self._latest.values():
            burst.ended = True
        self._latest.clear()

    def _take_ended(self, held: deque[tuple[Prediction, _Burst | None]]) -> Iterator[Prediction]:
        """Take the photos at the head of the queue whose burst has ended."""
        while held and ((burst := held[0][1]) is None or burst.ended):
            prediction = held.popleft()[0]
            if burst is None or prediction.probability is None:
                yield prediction
                continue
            alone = len(burst.probabilities) == 1
            if burst.shared is None:
                self.found += not alone
                # A photo alone keeps its probability to the bit.
                burst.shared = prediction.probability if alone else BURST_ANSWERS[self.answer](burst.probabilities)
            self.photos += not alone
            label, positive = self.labelling.label(burst.shared), self.labelling.classes[1]
            self.lowered += label != positive == self.labelling.label(prediction.probability)
            yield replace(
                prediction,
                probability=burst.shared,
                label=label,
                burst=burst.number,
                own_probability=prediction.probability,
            )


def _mean(probabilities: list[float]) -> float:
    """Return the probability of the mean log odds."""
    return 1 / (1 + math.exp(-math.fsum(map(log_odds, probabilities)) / len(probabilities)))


BURST_ANSWERS: Mapping[str, Callable[[list[float]], float]] = {"mean": _mean, "highest": max}
"""The ways to make one probability from those of a burst's frames. The mean of the log odds is calmer; the highest one
loses no animal that is in a single frame."""
