"""The answers in numbers, counted while the predictions pass by."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bearcnn.inference.folders import common_folder, name_site
from bearcnn.inference.prediction import Prediction

UNREADABLE = "unreadable"
"""Stands for the label of a photo that can't be read."""

MOST_REASONS = 5


@dataclass(slots=True)
class Tally:
    """Counts of labels, in the order given; a photo without an answer counts as unreadable."""

    labels: tuple[str, ...]
    counts: dict[str, int] = field(init=False)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    """The first paths that can't be read, each with the reason."""
    _folders: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys([*self.labels, UNREADABLE], 0)

    def count(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count the predictions on their way."""
        for prediction in predictions:
            label = prediction.label or UNREADABLE
            self.counts[label] += 1
            self._folders[str(Path(prediction.path).parent)][label] += 1
            if prediction.error is not None and len(self.reasons) < MOST_REASONS:
                self.reasons.append((prediction.path, prediction.error))
            yield prediction

    @property
    def photos(self) -> int:
        """The number of photos so far."""
        return sum(self.counts.values())

    @property
    def unreadable(self) -> int:
        """The number of photos without an answer so far."""
        return self.counts[UNREADABLE]

    def sites(self, folder: Path | None = None) -> dict[str, Counter[str]]:
        """Return the counts of each camera site, by its name; `folder` is the one that all photos lie in."""
        folder = folder or common_folder(self._folders)
        sites: dict[str, Counter[str]] = defaultdict(Counter)
        for place, counts in self._folders.items():
            sites[name_site(place, folder)].update(counts)
        return dict(sites)
