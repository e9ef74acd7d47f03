"""The rule that makes bears an alarm: N of the last M frames of a camera, and a pause after each alarm."""

import re
from collections import deque
from dataclasses import dataclass, field

from bearcnn.errors import BearcnnError
from bearcnn.inference.durations import read_seconds

_CAMERAS = 1000
"""Cameras that are remembered; the one that was quiet longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """An alarm is due for a bear if it is at least the `needed`th among the last `frames`, `pause` s after the last."""

    needed: int = 1
    frames: int = 1
    pause: float = 60.0

    @classmethod
    def parse(cls, alarm: str, pause: str) -> "AlarmRule":
        """Read a rule such as 2/3 and 60s.

        Raises:
            BearcnnError: one of them can't be understood.
        """
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", alarm.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise BearcnnError(f"`alarm` is {alarm!r}: expected N/M, such as 2/3 for 2 of the last 3 frames")
        return cls(int(found[1]), int(found[2]), parse_seconds("pause", pause))


class Alarms:
    """The last frames of each camera, and which of them is an alarm."""

    def __init__(self, rule: AlarmRule) -> None:
        self.rule = rule
        self._cameras: dict[str, _Camera] = {}

    def add(self, camera: str, is_bear: bool, now: float) -> bool:
        """Add a frame of a camera, seen at `now` s; return whether it is an alarm. Only a bear ever is."""
        seen = self._cameras.pop(camera, None) or _Camera(deque(maxlen=self.rule.frames))
        self._cameras[camera] = seen
        if len(self._cameras) > _CAMERAS:
            del self._cameras[next(iter(self._cameras))]
        seen.frames.append(is_bear)
        if not is_bear or sum(seen.frames) < self.rule.needed or now < seen.quiet_until:
            return False
        seen.quiet_until = now + self.rule.pause
        return True


@dataclass(slots=True)
class _Camera:
    frames: deque[bool]
    quiet_until: float = field(default=float("-inf"))


def parse_seconds(name: str, text: str) -> float:
    """Read a time such as 60s, 5m or 1h; a number alone means seconds. `name` is the option, for the message.

    Raises:
        BearcnnError: it is no time.
    """
    seconds = read_seconds(text)
    if seconds is None:
        raise BearcnnError(f"`{name}` is {text!r}: expected a time such as 30s, 5m or 1h")
    return seconds
