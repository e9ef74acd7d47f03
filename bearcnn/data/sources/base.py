"""The rows that every source of labelled photos yields."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bearcnn.data.splits import Split


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One photo and what its source says about it."""

    path: Path  # below the listing's root
    label: int  # 1 for the positive class
    subclass: str  # which bear, or which other thing; UTF-8 can encode it (see `names.readable`)
    split: Split | None = None  # where the source itself says so
    site: str | None = None  # the camera's place
    sequence: str | None = None  # photos of one burst share it
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
    splits: frozenset[Split] = frozenset()  # the splits that the source has, an empty one too; none: they are made
