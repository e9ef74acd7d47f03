"""The page of the commands: usage, text, examples and options of each, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Any

from rich.text import Text
from typer.main import get_command

from bearcnn.cli.app import app

INTRODUCTION = """\
# Commands

Results go to stdout, progress and notes to stderr. An error is one line that names the fix, and the exit code is 1.
Each command has `--help`, which says the same as this page.
"""

_EXAMPLES = re.compile(r"^Examples?:\s*$", re.MULTILINE)


def render_commands() -> str:
    """Render the page, with a heading for each command and a list for each panel of its options."""
    return "\n".join([INTRODUCTION, *(render_command(name, command) for name, command in all_commands())])


def all_commands() -> Iterator[tuple[str, Any]]:
    """List every command with its full name, in the order of the help."""
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield f"bearcnn {name}", command
        else:
            yield from ((f"bearcnn {name} {sub}", each) for sub, each in inner.items())


def render_command(name: str, command: Any) -> str:
    """Render one command as Markdown."""
    text, _, examples = _split_examples(plain(inspect.cleandoc(command.help or "")))
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join([name, "[OPTIONS]", *(each.metavar or each.name.upper() for each in arguments)])
    anchor = name.removeprefix("bearcnn ").replace(" ", "-")
    lines = [f"## {name} {{ #{anchor} }}", "", f"`{usage}`", "", text, ""]
    if examples.strip():
        lines += ["```sh", *(line.strip() for line in examples.splitlines() if line.strip()), "```", ""]
    lines += _render_list("", arguments)
    panels = groupby(sorted(options, key=_panel), key=_panel)
    for panel, members in panels:
        lines += _render_list(panel, list(members))
    return "\n".join(lines)


def plain(text: str) -> str:
    """Take the styles of rich out of a text."""
    return Text.from_markup(text).plain


def _split_examples(text: str) -> tuple[str, str, str]:
    found = _EXAMPLES.search(text)
    return (text[: found.start()].strip(), found[0], text[found.end() :]) if found else (text.strip(), "", "")


def _panel(option: Any) -> str:
    return getattr(option, "rich_help_panel", None) or ""


def _render_list(title: str, parameters: list[Any]) -> list[str]:
    if not parameters:
        return []
    lines = [f"**{title}**", ""] if title else []
    lines += ['<dl class="options">']
    for each in parameters:
        words = f"{plain(each.help or '')} {_describe_value(each)}"
        lines += [f"<dt>{_spell(each)}</dt><dd>{_to_html(words)}</dd>"]
    return [*lines, "</dl>", ""]


def _spell(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"<code>{escape(parameter.metavar or parameter.name.upper())}</code>"
    value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
    return ", ".join(f"<code>{escape(name)}{escape(value)}</code>" for name in parameter.opts)


def _describe_value(parameter: Any) -> str:
    """Say what values the help's own text doesn't name: the limits, and a default that is a value."""
    low, high, default = parameter.min, parameter.max, parameter.default
    limits = " ".join(filter(None, (f"from {low:,}" if low is not None else "", f"to {high:,}" if high else "")))
    shown = f"default `{default}`" if isinstance(default, str | int | float) and default not in (False, "") else ""
    facts = ", ".join(filter(None, (limits, shown)))
    return f"{facts[:1].upper()}{facts[1:]}." if facts else ""


def _to_html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split())))
