"""`bearcnn predict --watch`: answers to photos as they arrive, and a command for each alarm."""

import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.inference.arrivals import Arrival
    from bearcnn.inference.commands import Ended
    from bearcnn.inference.prediction import Prediction

PANEL = "Bear alarm"
_ALARM, _PAUSE, _TIMEOUT = "1/1", "60s", "60s"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The options that make an alarm of predictions."""

    watch: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Answer each new photo in this folder and below, until Ctrl-C."),
    ] = None
    on_bear: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Start this for a bear, without a shell; the photo's path is its last word, or stands for {}.",
            rich_help_panel=PANEL,
        ),
    ] = None
    alarm: Annotated[
        str | None,
        typer.Option(
            metavar="N/M",
            help="Bears among the last frames of a folder that make an alarm.",
            show_default=_ALARM,
            rich_help_panel=PANEL,
        ),
    ] = None
    pause: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="No other alarm of the folder for so long, such as 5m.",
            show_default=_PAUSE,
            rich_help_panel=PANEL,
        ),
    ] = None
    command_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Stop the command after so long.", show_default=_TIMEOUT, rich_help_panel=PANEL
        ),
    ] = None
    existing: Annotated[
        bool,
        typer.Option("--existing", metavar="", help="Begin with the photos that are there.", rich_help_panel=PANEL),
    ] = False

    def open(self, paths: list[str] | None, heatmaps: Path | None) -> "Watch | None":
        """Return the watch that the options ask for, or None if photos are named instead.

        Raises:
            BearcnnError: the options don't go together, or one of them can't be understood.
        """
        if self.watch is None:
            for name in ("on_bear", "alarm", "pause", "command_timeout", "existing"):
                if getattr(self, name):
                    raise BearcnnError(f"`{name}` goes with `watch`: name the folder that the photos arrive in")
            if not paths:
                raise BearcnnError("name photos or folders, or a folder that they arrive in: `watch` DIR")
            return None
        if paths:
            raise BearcnnError("photos and `watch` don't go together; the photos that are there: add `existing`")
        if self.on_bear is None and self.command_timeout:
            raise BearcnnError("`command_timeout` goes with `on_bear`")
        if heatmaps is not None and heatmaps.resolve().is_relative_to(self.watch.resolve()):
            raise BearcnnError("`heatmaps` would be read as photos: choose a folder outside that of `watch`")
        return Watch(self.watch, self)


class Watch:
    """A running watch: its photos, its alarms and what it has counted."""

    def __init__(self, folder: Path, options: WatchOptions) -> None:
        from bearcnn.cli.display import watch as display
        from bearcnn.inference.alarm import AlarmRule, Alarms, parse_seconds
        from bearcnn.inference.arrivals import Arrivals
        from bearcnn.inference.commands import BackgroundCommands, split_command

        self._display = display
        self._alarms = Alarms(AlarmRule.parse(options.alarm or _ALARM, options.pause or _PAUSE))
        self._commands = None
        timeout = parse_seconds("command_timeout", options.command_timeout or _TIMEOUT)
        if options.on_bear is not None:
            words = split_command(options.on_bear)
            self._commands = BackgroundCommands(words, timeout, self._note_end)
            if shutil.which(words[0]) is None:
                display.warn_missing(words[0])
        self._arrivals: Arrivals = Arrivals(folder, existing=options.existing, on_change=display.show_change)
        self._under_way: deque[Arrival] = deque()
        self._stop = Event()
        self._lock = Lock()  # commands start and end in threads
        self._before: dict[int, Any] = {}
        self.counts = display.WatchCounts()
        self._folder = folder

    def __enter__(self) -> "Watch":
        self._display.show_watch(self._folder, self._arrivals.skipped, self._alarms.rule)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, *error: object) -> None:
        if self._commands is not None:
            self._commands.close()
        self._restore()
        self.counts.vanished = self._arrivals.vanished
        self._display.summarize_watch(self.counts)

    def photos(self) -> Iterator[Path]:
        """Yield the photos that arrive, until Ctrl-C or SIGTERM."""
        for arrival in self._arrivals.watch(self._stop):
            self._under_way.append(arrival)
            yield arrival.path

    def follow(self, predictions: "Iterator[Prediction]", positive: str) -> "Iterator[Prediction]":
        """Pass predictions of `photos` on, and start the command for each alarm before it is printed."""
        for prediction in predictions:
            now, arrival = time.monotonic(), self._under_way.popleft()
            while str(arrival.path) != prediction.path:  # photos that lie in the folder of heat maps are passed over
                arrival = self._under_way.popleft()
            if prediction.label is not None:
                self.counts.answered.add(now - arrival.seen)
                is_bear = prediction.label == positive
                if self._alarms.add(str(arrival.path.parent), is_bear, now):
                    self._raise_alarm(prediction, arrival, now)
            yield prediction

    def _raise_alarm(self, prediction: "Prediction", arrival: "Arrival", answered: float) -> None:
        self.counts.alarms += 1
        waited = answered - arrival.seen
        if self._commands is None:
            self._display.show_alarm(prediction, waited, None)
            return

        def started() -> None:
            seconds = time.monotonic() - answered
            with self._lock:
                self.counts.started.add(seconds)
            self._display.show_alarm(prediction, waited, seconds)

        # Absolute: a name such as -x.jpg in the current folder must not be read as an option.
        photo = os.path.abspath(arrival.path)  # noqa: PTH100 - links stay as the user knows them
        environment = {"BEARCNN_PROBABILITY": f"{prediction.probability:.6f}", "BEARCNN_LABEL": prediction.label or ""}
        self._commands.start(photo, environment, started)

    def _note_end(self, ended: "Ended") -> None:
        with self._lock:
            self.counts.ended += ended.ok
            self.counts.failed += not ended.ok
        self._display.show_end(ended)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """End after the photos that are being answered; a second signal ends at once."""
        self._stop.set()
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
