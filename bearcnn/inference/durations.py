"""Times that options state, such as 60s, 5m or 1h."""

import re

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def read_seconds(text: str) -> float | None:
    """Return the seconds that a text states; a number alone means seconds. None if it is no time.

    Thirty years are the most: no option means longer, and a `timedelta` or a clock can hold it.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([a-z]*)", text.strip())
    return float(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None
