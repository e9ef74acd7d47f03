"""Display of an explanation: the answer, the best window, the file, and what to look at next."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bearcnn.cli.display.console import out, plain, say
from bearcnn.evaluation.formats import decimal

if TYPE_CHECKING:
    from bearcnn.explain.explain import Summary


def show_lesson(summary: "Summary", photo: Path, file: Path, model: Path | None, *, is_page: bool) -> None:
    """Show what an explanation found, and the commands that look closer."""
    positive = plain(summary.positive)
    color = "bold red" if summary.label == summary.positive else "green"
    say(
        f"[{color}]{plain(summary.label)}[/]: {positive} {decimal(summary.probability)}, "
        f"threshold {summary.threshold:.4g}"
    )
    best = summary.best_window
    say(f"best window: {positive} {decimal(best.score)}, around {_percent(best.at)} (percent of width and height)")
    speaks = "" if summary.chosen else f" speaks most for {plain(summary.label)}"
    say(f"kernel {summary.kernel}{speaks}, around {_percent(summary.at)}")
    say(f"drew {plain(str(file))}")
    run = f" --model {shlex.quote(str(model))}" if model else ""
    command = f"bearcnn explain {shlex.quote(str(photo))}{run}"
    out.print()
    if is_page:
        say("next: open it in a browser and point at the map in section 3; best window:")
        say(f"  [dim]{plain(command)} --at {_percent(best.at)} --out window.html[/]")
    else:
        page = shlex.quote(str(file.with_suffix(".html")))
        say("next: a page on which you point at the places of a map:")
        say(f"  [dim]{plain(f'{command} --out {page}')}[/]")


def _percent(at: tuple[float, float]) -> str:
    return f"{at[0]:.0f},{at[1]:.0f}"
