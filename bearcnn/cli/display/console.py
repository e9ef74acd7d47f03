"""The streams, and what every command says: notes, results in words, JSON, errors, progress bars.

`display` is the only code that prints, and it is light: it formats what others measured. Results go to stdout; progress
and notes to stderr, so that a pipe gets results alone.
"""

import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bearcnn.signs import show

# A file's name can be any bytes; what isn't text is shown escaped instead of ending the program.
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")

VERDICT_COLORS = {"good": "green", "unsure": "yellow", "bad": "red"}
"""The color of each style of the report's verdict."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    """A console on which text moves no cursor and changes no colour, whoever wrote it; styles alone do."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_CONTROL.sub(lambda found: show(found[0]), text), **options)


# Without emoji: a file may be called :bear:.jpg.
out = _Console(highlight=False, emoji=False)
err = _Console(stderr=True, highlight=False, emoji=False)


def note(text: str) -> None:
    """Write a remark for people on stderr."""
    err.print(text, soft_wrap=True)


def plain(text: str) -> str:
    r"""Return text that isn't ours as one line without styles: brackets are escaped for rich, and `\n`, `\x1b` shown.

    So are the signs that reorder what follows, and bytes of a file's name that aren't text, as `\xf6`.
    """
    return escape(show(text))


def say(text: str) -> None:
    """Write a result in words on stdout."""
    out.print(text, soft_wrap=True)


def name_options(message: str) -> str:
    """Show a parameter that the library's messages name in backticks as the option of the same name."""
    return re.sub(r"`([a-z]+(?:_[a-z]+)*)`", lambda found: "--" + found[1].replace("_", "-"), message)


def silence() -> None:
    """Write nothing but errors from now on: another process tells the rest."""
    out.quiet = err.quiet = True


def show_error(message: str) -> None:
    """Say what went wrong, one line for each problem."""
    err.quiet = False
    for line in message.split("\n"):
        err.print(f"[bold red]error:[/] {plain(line)}", soft_wrap=True)


def print_json(content: Any) -> None:
    """Write one JSON document on stdout; what JSON has no number for, NaN and infinity, is null."""
    sys.stdout.write(json.dumps(_finite(content), indent=2, default=str, allow_nan=False) + "\n")


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content


def print_text(text: str) -> None:
    """Write text on stdout as it is."""
    sys.stdout.write(text)


@contextmanager
def tracking() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Show bars for work in several steps: `track(what)` gives the `progress(done, total)` callback of one step.

    A step that never reports has no bar; where stderr is no terminal there are none at all.
    """
    with progress() as bars:

        def track(what: str) -> Callable[[int, int], None]:
            task: list[TaskID] = []

            def update(done: int, total: int) -> None:
                if not task:
                    task.append(bars.add_task(what, total=total))
                bars.update(task[0], completed=done, total=total)

            return update

        yield track


def progress() -> Progress:
    """Make bars that go away when they are done, and that are shown on a terminal alone."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
        transient=True,
        expand=True,
        disable=not err.is_terminal,
    )


def make_table(*headings: str, numbers: int) -> Table:
    """Make a table without lines; the last `numbers` columns are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place >= len(headings) - numbers else "left")
    return table
