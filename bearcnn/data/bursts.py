"""Bursts: photos that one camera took within moments of each other, mostly of the same animal."""

from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta


def find_bursts(places: Sequence[tuple[Hashable, datetime | None]], gap: timedelta) -> list[int]:
    """Return the number of each photo's burst, from 0 in the order of the bursts' first photos.

    A burst ends where its camera took no photo for longer than `gap`. A photo of unknown time is a burst of its own.

    Args:
        places: of each photo, its camera (or what stands for it, such as its folder) and the time.
        gap: the longest pause within a burst.
    """
    found: dict[int, int] = {}
    last: dict[Hashable, tuple[datetime, int]] = {}
    timed = [row for row, (_, taken) in enumerate(places) if taken is not None]
    for row in sorted(timed, key=lambda row: (places[row][1], row)):
        camera, taken = places[row]
        assert taken is not None
        before = last.get(camera)
        found[row] = before[1] if before and taken - before[0] <= gap else row
        last[camera] = (taken, found[row])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(found.get(row, row), len(numbers)) for row in range(len(places))]
