"""Times with their zone. A camera's clock knows none, and Camtrap DP requires one."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from bearcnn.errors import BearcnnError


@dataclass(frozen=True, slots=True)
class CameraClock:
    """The zone that the cameras' clocks are set to; this computer's, which is a guess, unless it is given."""

    zone: tzinfo | None = None

    @property
    def guessed(self) -> bool:
        """Whether nobody has said it."""
        return self.zone is None

    def place(self, taken: datetime) -> datetime:
        """Put a camera's time, to the second, into its zone."""
        return taken.astimezone() if self.zone is None else taken.replace(tzinfo=self.zone)


def parse_zone(text: str | None) -> CameraClock:
    """Read a time zone: a name such as Europe/Ljubljana, an offset such as +01:00, or UTC.

    Raises:
        BearcnnError: there is no such zone.
    """
    if text is None:
        return CameraClock()
    if text.upper() in ("UTC", "Z"):
        return CameraClock(UTC)
    if found := re.fullmatch(r"([+-])(\d\d):?(\d\d)", text):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(hours=24):
            return CameraClock(timezone(offset if found[1] == "+" else -offset))
    try:
        return CameraClock(ZoneInfo(text))
    except (ValueError, OSError, KeyError):  # no file of that name, or no name of a file
        raise BearcnnError(
            f"`timezone` {text}: expected the zone of the cameras' clocks, such as Europe/Ljubljana, +01:00 or UTC"
        ) from None


def iso(time: datetime) -> str:
    """Return a time as 2024-01-31T23:59:59+01:00."""
    return time.isoformat(timespec="seconds")
