"""The rows that every source of labelled photos yields."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bearcnn.data.splits import Split


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One photo, as its source describes it."""

    path: Path  # below the listing's root
    label: int  # 1 for the positive class
    subclass: str  # such as "brown" or "wolf"; UTF-8 can encode it (see `names.readable`)
    split: Split | None = None  # None where the source has no splits
    site: str | None = None  # the camera's place
    sequence: str | None = None  # the burst that it belongs to
    taken: datetime | None = None


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """One photo that is not used, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All photos of a source, in any order, before any file is read."""

    root: Path  # the folder that all paths are in; a data set is recorded relative to it
    labelled: tuple[LabelledPhoto, ...]
    skipped: tuple[SkippedPhoto, ...] = ()
    splits: frozenset[Split] = frozenset()  # of the source, even empty ones; none: they are made
    independent: bool = False  # no photo has anything to do with another, as in drawn scenes
