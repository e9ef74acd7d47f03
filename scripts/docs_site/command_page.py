"""The page of the commands: usage, text, examples and options of each, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from typer.main import get_command

from bearcnn.cli.app import app
from bearcnn.cli.help import list_options

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
    text, _, examples = _split_examples(inspect.cleandoc(command.help or ""))
    context = command.make_context(name, [], resilient_parsing=True)
    anchor = name.removeprefix("bearcnn ").replace(" ", "-")
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    lines = [f"## {name} {{ #{anchor} }}", "", f"`{usage}`", "", text, ""]
    if examples.strip():
        lines += ["```sh", *(line.strip() for line in examples.splitlines() if line.strip()), "```", ""]
    for heading, rows in list_options(command, context).items():
        lines += [f"**{heading}**", "", '<dl class="options">']
        lines += [f"<dt><code>{escape(typed)}</code></dt><dd>{_to_html(words)}</dd>" for typed, words in rows]
        lines += ["</dl>", ""]
    return "\n".join(lines)


def _split_examples(text: str) -> tuple[str, str, str]:
    found = _EXAMPLES.search(text)
    return (text[: found.start()].strip(), found[0], text[found.end() :]) if found else (text.strip(), "", "")


def _to_html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split())))
