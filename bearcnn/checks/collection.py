"""A collection of photos as checks see it: what the source says, what the files say, and how the photos look.

It is read through the source and the pixel cache of training, and through the data set that training would make of it.
What can't be trained on is still a collection.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from bearcnn.checks.kept import open_measures
from bearcnn.checks.measures import Measures
from bearcnn.config import Config
from bearcnn.data import OnProgress
from bearcnn.data.cache import build_cache
from bearcnn.data.dataset import Dataset
from bearcnn.data.details import FileDetails
from bearcnn.data.names import on_one_line
from bearcnn.data.near_copies import SAME_EVENT, find_near_copies
from bearcnn.data.photos import find_photos
from bearcnn.data.sources import list_source
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.splits import Split
from bearcnn.errors import DataError

Track = Callable[[str], OnProgress]
"""Takes what is being done, and gives the callback for its progress."""

BLACK, LEAST_CONTRAST = 16, 16
"""A picture of which 99% is darker, of 255, is black; one of which 98% lies within so few levels is blank.

Of 2,458 web photos, animals at night among them, the darkest has 88 and the palest 70: nothing near is a photo of
something.
"""


@dataclass(frozen=True, slots=True)
class CollectedPhoto:
    """One photo of a collection."""

    path: Path
    name: str  # the path below the collection's root, as text in one line
    row: int  # in the measures, and in the order of their paths
    label: int | None  # 1 for the positive class; None where the source has no label for it
    subclass: str  # such as "wolf"; the folder where there is no label
    split: Split | None  # as training would split it; None where it can't be used
    given_split: Split | None  # of the source
    site: str | None
    sequence: str | None
    taken: datetime | None  # as the source or else the file says, on the camera's clock
    digest: str  # of the file's bytes; "" if they can't be read
    unreadable: str | None  # the reason
    unused: str | None  # the reason for which the source has no label
    details: FileDetails = field(repr=False)


@dataclass(frozen=True)
class Collection:
    """All photos of a path, whether or not they can be used; `problem` is why none of them can be trained on."""

    config: Config
    root: Path
    photos: tuple[CollectedPhoto, ...]
    measures: Measures = field(repr=False)  # how each looks, in the order of the photos
    dataset: Dataset | None = field(repr=False)  # that training would use; None with a problem
    problem: str | None
    track: Track = field(repr=False)
    now: datetime

    @property
    def classes(self) -> tuple[str, str]:
        """The names of the negative and the positive class."""
        positive = self.config.data.positive[0]
        return f"not_{positive}", positive

    @property
    def labelled(self) -> bool:
        """Whether any photo has a label."""
        return any(photo.label is not None for photo in self.photos)

    @cached_property
    def readable(self) -> tuple[CollectedPhoto, ...]:
        """The photos that can be read."""
        return tuple(photo for photo in self.photos if photo.unreadable is None)

    def is_blank(self, photo: CollectedPhoto) -> bool:
        """Check whether nothing is on a picture: it is black, or all one colour."""
        bright, low = self.measures.bright[photo.row], self.measures.low[photo.row]
        return bool(bright < BLACK or bright - low < LEAST_CONTRAST)

    @cached_property
    def copies(self) -> list[tuple[CollectedPhoto, ...]]:
        """Exact copies of each other, at least two in a tuple."""
        same: dict[str, list[CollectedPhoto]] = {}
        for photo in self.photos:
            if photo.digest:
                same.setdefault(photo.digest, []).append(photo)
        return [tuple(photos) for photos in same.values() if len(photos) > 1]

    @cached_property
    def look_alikes(self) -> list[tuple[CollectedPhoto, ...]]:
        """Groups of near copies, at least two in a tuple; of exact copies the first alone.

        Pictures with little on them, which are all alike, are in none.
        """
        repeated = {photo.row for photos in self.copies for photo in photos[1:]}
        chosen = [photo for photo in self.readable if photo.row not in repeated and self.measures.detailed[photo.row]]
        numbers = find_near_copies(self.measures.hashes[[photo.row for photo in chosen]], SAME_EVENT)
        groups: dict[int, list[CollectedPhoto]] = {}
        for photo, number in zip(chosen, numbers.tolist(), strict=True):
            groups.setdefault(number, []).append(photo)
        return [tuple(photos) for photos in groups.values() if len(photos) > 1]


def _silent(what: str) -> OnProgress:
    return lambda done, total: None


def read_collection(config: Config, track: Track = _silent, now: datetime | None = None) -> Collection:
    """Read the photos of a configuration's data.path.

    Args:
        config: what to read, and how training would read it: its section data.
        track: gives a callback for the progress of each step.
        now: the time after which no photo can have been taken; that of the computer unless given.

    Raises:
        DataError: there is nothing to check: no such file or folder, no photo, or a list that can't be read.
    """
    listing, problem = _list(config, track)
    # What its list says nothing about is never opened, as in training.
    read = (photo for photo in listing.skipped if not photo.unread)
    found: list[LabelledPhoto | SkippedPhoto] = [*listing.labelled, *read]
    found.sort(key=lambda photo: photo.path.parts)  # as for training, whose cache is used
    paths = [photo.path for photo in found]
    size, resize = config.data.image_size, config.data.resize
    cache = build_cache(
        paths, size, resize, max_megapixels=config.data.max_megapixels, on_progress=track("decoding photos")
    )
    details, measures = open_measures(paths, cache, track)
    dataset = None
    if problem is None:
        try:
            dataset = Dataset.from_listing(listing, config.data, track("decoding photos for training"))
        except DataError as error:
            problem = str(error)
    splits = {example.path: example.split for example in dataset.examples} if dataset else {}
    photos = tuple(
        _collect(photo, row, listing.root, splits.get(photo.path), details[row], cache.digests[row], cache.reasons[row])
        for row, photo in enumerate(found)
    )
    return Collection(config, listing.root, photos, measures, dataset, problem, track, now or datetime.now())


def _list(config: Config, track: Track) -> tuple[Listing, str | None]:
    """List the photos of a path; those of a folder without labels too, with the reason why it has none."""
    path, positive = config.data.path, config.data.positive
    try:
        return list_source(path, positive, track("drawing scenes"), columns=config.data.columns), None
    except DataError as error:
        root = Path(path)
        paths = list(find_photos(root, every_link=True)) if path and root.is_dir() else []
        if not paths or paths == [root]:
            raise
        return Listing(root, (), tuple(SkippedPhoto(each, "") for each in paths)), str(error)


def _collect(
    photo: LabelledPhoto | SkippedPhoto,
    row: int,
    root: Path,
    split: Split | None,
    details: FileDetails,
    digest: str,
    unreadable: str | None,
) -> CollectedPhoto:
    place = photo.path.relative_to(root)
    labelled = photo if isinstance(photo, LabelledPhoto) else None
    folder = "" if place.parent == Path() else on_one_line(place.parent.as_posix())
    return CollectedPhoto(
        path=photo.path,
        name=on_one_line(place.as_posix()),
        row=row,
        label=labelled.label if labelled else None,
        subclass=labelled.subclass if labelled else folder,
        split=split,
        given_split=labelled.split if labelled else None,
        site=labelled.site if labelled else None,
        sequence=labelled.sequence if labelled else None,
        taken=(labelled.taken if labelled else None) or details.metadata.taken,
        digest=digest,
        unreadable=unreadable,
        unused=photo.reason or None if isinstance(photo, SkippedPhoto) else None,
        details=details,
    )
