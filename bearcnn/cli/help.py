"""The help screens: the main options first, each with its meaning, range and default in a line or two; examples last.

A screen of 24 lines of 80 columns has the usage, the first sentence and the main options of a command.
"""

import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from bearcnn.cli.display.console import out

MAIN, MORE = "Main options", "More options"
"""Headings of the options without a panel of their own, and of those that few people need."""

_WIDEST, _WIDEST_LABEL = 100, 22
_OPTION = r"(?<![\w-])--[a-z][\w-]*"
_EXAMPLE, _NO_BREAK = " " * 4, "\xa0"

Row = tuple[str, str]
"""The text to type, and its meaning."""


class HelpedCommand(TyperCommand):
    """A command with one help screen for all terminals."""

    knobs: ClassVar[Mapping[str, str]] = {}
    """The config key of each option that is short for one, by the option's name."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help screen."""
        first, _, rest = inspect.cleandoc(self.help or "").partition("\n\n")
        _show_start(self, ctx, first)
        for heading, rows in list_options(self, ctx).items():
            _show_rows(heading, rows, _label_width(rows))
        if rest:
            out.print()
            _show_text(rest)


class HelpedGroup(TyperGroup):
    """A group of commands, with a line for each of them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help screen."""
        _show_start(self, ctx, inspect.cleandoc(self.help or ""))
        panels: dict[str, list[Row]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            words = command.short_help or inspect.cleandoc(command.help or "").partition("\n\n")[0]
            panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, words))
        width = _label_width([row for rows in panels.values() for row in rows])
        for heading, rows in panels.items():
            _show_rows(heading, rows, width)
        out.print()
        if self.epilog:
            _show_text(self.epilog)
        options = [label(each) for each in self.get_params(ctx) if not getattr(each, "hidden", False)]
        _show_text(f"Options: {', '.join(options)}")


def list_options(command: Any, ctx: Any) -> dict[str, list[Row]]:
    """List the arguments and options of a command by panel, the main ones first."""
    panels: dict[str, list[Row]] = {MAIN: []}
    parameters = [each for each in command.get_params(ctx) if not getattr(each, "hidden", False)]
    parameters.sort(key=lambda each: each.param_type_name != "argument")
    for each in parameters:
        heading = getattr(each, "rich_help_panel", None) or MAIN
        if each.name == "help" and len(panels) > 1:
            heading = next(reversed(panels))
        panels.setdefault(heading, []).append((label(each), explain(each, getattr(command, "knobs", {}))))
    return panels if len(panels) > 1 else {"Options": panels[MAIN]}


def label(parameter: Any) -> str:
    """Return what is typed for an argument or option: `PHOTO`, `--dropout RATE`, `--json`."""
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar or parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}"
    names = "/".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag or parameter.metavar == "" else f"{names} {parameter.metavar or 'VALUE'}"


def explain(parameter: Any, knobs: Mapping[str, str] = HelpedCommand.knobs) -> str:
    """Return what an argument or option means, with its range and default: `... [0 to <1; default 0.2]`.

    Those of an option that is short for a config key, as `knobs` says, come from the configuration itself.
    """
    if key := knobs.get(parameter.name):
        from bearcnn.config.limits import describe_default, describe_limits

        limits, default = describe_limits(key), describe_default(key)
    else:
        limits, default = _limits(parameter), _default(parameter)
    if "|" in (parameter.metavar or ""):
        limits = ""  # the choices are there to see
    facts = "; ".join(filter(None, (limits, f"default {default}" if default else "")))
    return f"{parameter.help or ''} [{facts}]" if facts else parameter.help or ""


def _limits(parameter: Any) -> str:
    # In older versions of typer the type has the limits.
    low, high = (getattr(parameter, end, None) for end in ("min", "max"))
    if low is None and high is None:
        low, high = (getattr(getattr(parameter, "type", None), end, None) for end in ("min", "max"))
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return f"{low:,} or more" if low is not None else f"up to {high:,}" if high is not None else ""


def _default(parameter: Any) -> str:
    if isinstance(getattr(parameter, "show_default", None), str):
        return str(parameter.show_default)
    value = parameter.default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show_start(command: Any, ctx: Any, sentence: str) -> None:
    usage = " ".join(command.get_usage(ctx).split())
    out.print(Text(usage, style="bold"), soft_wrap=True)
    out.print()
    _show_text(sentence)


def _show_rows(heading: str, rows: Sequence[Row], width: int) -> None:
    out.print(Text(f"\n{heading}", style="bold"))
    for typed, words in rows:
        lines = _wrap(words, _width() - width - 4) or [""]
        if len(typed) > width:
            out.print(Text(f"  {typed}", style="cyan"), soft_wrap=True)
            typed = ""
        for line in lines:
            text = Text.assemble("  ", (f"{typed:{width}}", "cyan"), f"  {line}".rstrip())
            text.highlight_regex(_OPTION, "cyan")
            out.print(text, soft_wrap=True)
            typed = ""


def _show_text(text: str) -> None:
    """Print paragraphs, filled to the width; lines that are indented stay as they are, without gaps between them."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(_EXAMPLE):
            if len(lines) > 1 and lines[-2].startswith(_EXAMPLE):
                lines.pop()
            lines += paragraph.splitlines()
        else:
            head, *indented = re.split(r"\n(?=    )", paragraph)
            lines += textwrap.wrap(" ".join(head.split()), _width(), break_on_hyphens=False)
            lines += indented
        lines.append("")
    for line in lines[:-1]:
        shown = Text(line)
        shown.highlight_regex(_OPTION, "cyan")
        out.print(shown, soft_wrap=True)


def _wrap(words: str, width: int) -> list[str]:
    """Wrap a text; its range and default, in brackets at the end, stay in one line where they fit into one."""
    start, bracket, facts = words.rpartition(" [")
    if bracket and len(facts) < width:
        words = start + bracket + facts.replace(" ", _NO_BREAK)
    return [line.replace(_NO_BREAK, " ") for line in textwrap.wrap(words, width, break_on_hyphens=False)]


def _label_width(rows: Sequence[Row]) -> int:
    """Return the width of the longest label that leaves room for words; a longer one has a line of its own."""
    lengths = [len(typed) for typed, _ in rows if len(typed) <= _WIDEST_LABEL]
    return max(lengths, default=_WIDEST_LABEL)


def _width() -> int:
    return min(out.width, _WIDEST)
