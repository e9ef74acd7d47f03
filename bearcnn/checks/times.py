"""Checks of the times at which photos were taken."""

from collections.abc import Iterator
from datetime import timedelta

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import Collection

FIRST_YEAR = 1995
"""Before digital cameras wrote times into their photos (Exif 1.0 is of 1995), a clock is at its start: 1970, 1980."""

_RESET = timedelta(hours=1)
"""The first time of a year in which a clock without a battery is suspected; most begin at 1 January, 00:00."""


def find_wrong_times(collection: Collection) -> Iterator[Finding]:
    """Find photos of a camera whose clock was never set, ran ahead, or began anew without a battery."""
    tomorrow = collection.now + timedelta(days=1)  # a camera may be in another time zone
    for photo in collection.readable:
        taken = photo.taken
        if photo.details.metadata.unset:
            yield Finding("the clock was never set", photo)
        elif taken is None:
            continue
        elif taken > tomorrow:
            yield Finding(f"{taken:%Y-%m-%d %H:%M} is in the future", photo)
        elif taken.year < FIRST_YEAR:
            yield Finding(f"{taken:%Y-%m-%d %H:%M} is before digital cameras", photo)
        elif taken - taken.replace(month=1, day=1, hour=0, minute=0, second=0) < _RESET:
            yield Finding(f"{taken:%Y-%m-%d %H:%M}: clocks begin there when the battery was changed", photo)
