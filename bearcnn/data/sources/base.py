"""The rows that every source of labelled photos yields."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bearcnn.data.splits import Split

SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What sources call the splits, in lower case."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One photo, as its source describes it."""

    path: Path  # below the listing's root
    label: int  # 1 for the positive class
    subclass: str  # such as "brown" or "wolf"; UTF-8 can encode it (see `names.readable`)
    split: Split | None = None  # None where the source has no splits
    site: str | None = None  # the camera's place
    sequence: str | None = None  # the burst that it belongs to
    taken: datetime | None = None  # on the camera's clock, without a time zone


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """One photo that is not used, and the reason."""

    path: Path
    reason: str
    unread: bool = False  # for this reason alone: nobody opens the file, which may be a video or one of a million


@dataclass(frozen=True, slots=True)
class Listing:
    """All photos of a source, in any order, before any file is read."""

    root: Path  # the folder that all paths are in; a data set is recorded relative to it
    labelled: tuple[LabelledPhoto, ...]
    skipped: tuple[SkippedPhoto, ...] = ()
    splits: frozenset[Split] = frozenset()  # of the source, even empty ones; none: they are made
    file: Path | None = None  # the file that lists the photos, for messages; None: the root's folders do
    independent: bool = False  # no photo has anything to do with another, as in drawn scenes
