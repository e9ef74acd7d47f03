"""The cells of tables and the values of JSON as text, times and splits."""

import math
import re
from datetime import datetime
from typing import Any

from bearcnn.data.sources.base import SPLIT_NAMES
from bearcnn.data.splits import Split
from bearcnn.registry import nearest_hint

_EXIF_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)(?=\s)")
_NO_CLOCK = re.compile(r"0000[:-]00[:-]00\b")
_TIMES = "2024-01-31 23:59:00 or 2024-01-31T23:59:00+02:00 (ISO 8601) or 2024:01:31 23:59:00 (EXIF)"


def quote(text: str) -> str:
    r"""Return text in quotes for a message, in one line: what can't be shown is escaped, and a long text is cut."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def clean(text: str) -> str:
    r"""Return a name in one line that UTF-8 can encode: what it can't becomes escapes such as `\udcf6`."""
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode("utf-8")


def parse_time(text: str) -> datetime | None:
    """Return a time as the camera's clock showed it; None for an empty text and for a clock that was never set.

    ISO 8601 and EXIF's form are known, both with date and time; seconds and fractions may be absent. A time zone is
    read and dropped, so that times of one camera can be compared.

    Raises:
        ValueError: another form, with the forms that are known.
    """
    return drop_zone(parse_moment(text))


def drop_zone(moment: datetime | None) -> datetime | None:
    """Return a moment as the camera's clock showed it."""
    return moment and moment.replace(tzinfo=None)


def parse_moment(text: str) -> datetime | None:
    """Return a time as `parse_time` does, with its time zone if it has one.

    Raises:
        ValueError: another form, with the forms that are known.
    """
    plain = text.strip()
    if not plain or _NO_CLOCK.match(plain):
        return None
    try:
        moment = datetime.fromisoformat(_EXIF_DATE.sub(r"\1-\2-\3", plain))
    except ValueError:
        raise ValueError(f"the time {quote(plain)} isn't known; write it as {_TIMES}") from None
    if len(plain) <= len("2024-01-31"):  # a date alone would be midnight: a whole day in one burst
        raise ValueError(f"the time {quote(plain)} is a date alone; write it as {_TIMES}")
    return moment


def parse_split(text: str) -> Split | None:
    """Return the split that a cell names; None for an empty one.

    Raises:
        ValueError: there is no such split, with the names that there are.
    """
    plain = text.strip().casefold()
    if not plain:
        return None
    if plain not in SPLIT_NAMES:
        hint = nearest_hint(plain, SPLIT_NAMES)
        raise ValueError(f"there is no split {quote(text.strip())}: expected train, valid (val) or test{hint}")
    return SPLIT_NAMES[plain]


def to_text(value: Any) -> str | None:
    """Return an id or a name of a JSON document as text; None where it says nothing.

    Numbers count as their text, so that 12, 12.0 and "12" are one id. NaN, which pandas writes for an empty cell, null,
    true, false and whatever isn't a name say nothing.
    """
    if isinstance(value, str):
        return clean(value) or None
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
