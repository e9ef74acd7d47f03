"""The numbers of a collection: photos by split and class, sites, cameras, times, sizes, day and night."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bearcnn.checks.collection import Collection
from bearcnn.data.splits import SPLITS


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers; None where the photos don't say."""

    photos: int
    readable: int
    counts: dict[str, dict[str, int]]  # split -> class -> photos that training would use
    grey: dict[str, int]  # class -> readable photos without colour: infrared, or black-and-white
    sites: int
    cameras: int
    timed: int  # readable photos of which the time is known
    first: datetime | None
    last: datetime | None
    smallest: tuple[int, int] | None  # width and height, px, by area
    largest: tuple[int, int] | None

    def sentences(self) -> list[str]:
        """Say what isn't in the table of counts: day and night, times, cameras, sizes."""
        said = []
        if self.grey:
            said.append(f"Infrared or black-and-white: {', '.join(f'{n:,} {name}' for name, n in self.grey.items())}.")
        if self.first is not None and self.last is not None:
            said.append(f"Taken {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}; {self.timed:,} photos say when.")
        places = [
            f"{number:,} {words}" for number, words in ((self.sites, "sites"), (self.cameras, "cameras")) if number
        ]
        if places:
            said.append(f"From {' and '.join(places)}.")
        if self.smallest is not None and self.largest is not None:
            small, large = (f"{width}x{height}" for width, height in (self.smallest, self.largest))
            said.append(f"All are {small} px." if small == large else f"{small} to {large} px.")
        return said

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        times = {
            name: time.isoformat() if time else None for name, time in (("first", self.first), ("last", self.last))
        }
        return asdict(self) | times


def summarize(collection: Collection) -> Summary:
    """Count a collection's photos."""
    readable, classes = collection.readable, collection.classes
    counts = Counter((photo.split, photo.label) for photo in collection.photos)
    grey = Counter(photo.label for photo in readable if collection.measures.grey[photo.row])
    times = sorted(photo.taken for photo in readable if photo.taken is not None)
    found = [(photo.details.width, photo.details.height) for photo in readable]
    sizes = sorted(((width, height) for width, height in found if width and height), key=lambda size: size[0] * size[1])
    return Summary(
        photos=len(collection.photos),
        readable=len(readable),
        counts={
            split: {classes[label]: counts[split, label] for label in (1, 0)}
            for split in SPLITS
            if counts[split, 0] + counts[split, 1]
        },
        grey={
            classes[label] if label is not None else "unlabelled": grey[label] for label in (1, 0, None) if grey[label]
        },
        sites=len({photo.site for photo in collection.photos if photo.site is not None}),
        cameras=len({photo.details.metadata.camera for photo in readable if photo.details.metadata.camera}),
        timed=len(times),
        first=times[0] if times else None,
        last=times[-1] if times else None,
        smallest=sizes[0] if sizes else None,
        largest=sizes[-1] if sizes else None,
    )
