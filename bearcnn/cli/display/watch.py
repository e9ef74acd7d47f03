"""Display of a watched folder: its alarms, the commands they start, and a summary at the end."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bearcnn.cli.display.console import note, plain
from bearcnn.inference.alarm import AlarmRule
from bearcnn.inference.commands import Ended
from bearcnn.inference.prediction import Prediction


@dataclass(slots=True)
class Latency:
    """Times to two digits, so that a year of them takes no more memory than a day."""

    counts: Counter[float] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one time."""
        self.counts[float(f"{max(seconds, 0.0001):.2g}")] += 1

    def describe(self) -> str:
        """Return median and worst in words."""
        rank, seen = (self.counts.total() + 1) // 2, 0
        for seconds in sorted(self.counts):
            seen += self.counts[seconds]
            if seen >= rank:
                break
        return f"median {_seconds(seconds)}, worst {_seconds(max(self.counts))}"


@dataclass(slots=True)
class WatchCounts:
    """The counts of a watch."""

    begun: float = field(default_factory=time.monotonic)
    alarms: int = 0
    ended: int = 0
    failed: int = 0
    vanished: int = 0
    answered: Latency = field(default_factory=Latency)
    started: Latency = field(default_factory=Latency)


def show_watch(folder: Path, skipped: int, rule: AlarmRule) -> None:
    """Show what is watched and what will be an alarm."""
    there = (
        f"; {skipped:,} {_photos(skipped)} already there {'is' if skipped == 1 else 'are'} skipped" if skipped else ""
    )
    when = "each bear" if rule.needed == 1 else f"{rule.needed} bears in the last {rule.frames} frames of a folder"
    pause = f", at most one per folder in {_seconds(rule.pause)}" if rule.pause else ""
    note(f"[dim]watching {plain(str(folder))}{there}; alarm for {when}{pause}; Ctrl-C ends[/]")


def warn_missing(program: str) -> None:
    """Say that the command can't work as things are."""
    note(f"[yellow]warning:[/] --on-bear: there is no program {plain(program)}; alarms will fail until there is one")


def show_change(words: str) -> None:
    """Show what became of the folder."""
    note(f"[yellow]{plain(words)}[/]")


def show_alarm(prediction: Prediction, waited: float, started: float | None) -> None:
    """Show an alarm, how long after the photo was seen it was answered, and then how soon the command started."""
    command = "" if started is None else f"; command started {_seconds(started)} later"
    note(
        f"[bold red]alarm[/] {plain(prediction.path)}: {plain(prediction.label or '')} {prediction.probability:.3f}, "
        f"answered {_seconds(waited)} after it was seen{command}"
    )


def show_end(ended: Ended) -> None:
    """Show how a command ended."""
    color = "dim" if ended.ok else "yellow"
    after = f" after {_seconds(ended.seconds)}" if ended.seconds else ""
    note(f"[{color}]command for {plain(ended.photo)}: {plain(ended.outcome)}{after}[/]")


def summarize_watch(counts: WatchCounts) -> None:
    """Show alarms, commands and latencies, in a line each."""
    commands = [
        f"{number:,} {how}" for number, how in ((counts.ended, "ended well"), (counts.failed, "failed")) if number
    ]
    alarms = f"{counts.alarms:,} {'alarm' if counts.alarms == 1 else 'alarms'}"
    vanished = f"; {counts.vanished:,} half written {_photos(counts.vanished)} vanished" if counts.vanished else ""
    watched = f"watched for {_seconds(time.monotonic() - counts.begun)}"
    note(f"[dim]{watched}: {alarms}{' (commands: ' + ', '.join(commands) + ')' if commands else ''}{vanished}[/]")
    if counts.answered.counts:
        note(f"[dim]photo seen to answer: {counts.answered.describe()}[/]")
    if counts.started.counts:
        note(f"[dim]answer to command started: {counts.started.describe()}[/]")


def _photos(number: int) -> str:
    return "photo" if number == 1 else "photos"


def _seconds(seconds: float) -> str:
    """Return a time as `14 ms`, `1.3 s`, `5 min`, `2.5 h`."""
    if seconds < 0.995:
        return f"{float(f'{1000 * seconds:.2g}'):g} ms"
    if seconds < 99.5:
        return f"{seconds:.3g} s" if seconds > 9.95 else f"{seconds:.2g} s"
    return f"{seconds / 60:.3g} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.3g} h"
