"""Draw the results of commands of bearcnn in a terminal of 80 columns, as SVG.

python scripts/drawings/terminal.py "bearcnn predict camera1 --model run" --in pictures-work --out terminal.svg
"""

import argparse
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
)
"""rich's drawing of a terminal, with the reader's own fonts: the picture asks no other host for anything."""

START = "import sys; from bearcnn.cli.app import main; sys.argv[0] = 'bearcnn'; main()"  # this checkout's, by its name
TERMINAL = {"COLUMNS": "80", "LINES": "60", "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Run the commands, and draw what they write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="+")
    parser.add_argument("--in", dest="folder", type=Path, default=ROOT, help="folder that the commands run in")
    parser.add_argument("--needs", nargs="*", help="folders that they read, for scripts/pictures.py to make first")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    for number, command in enumerate(options.commands):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(run(command, options.folder).rstrip()))
    drawn = console.export_svg(title="", theme=MONOKAI, code_format=FORMAT, unique_id=options.out.stem)
    options.out.write_text(drawn, encoding="utf-8")


def run(command: str, folder: Path) -> str:
    """Run a command of bearcnn, and return its results: no progress and no speed, which are new in every run."""
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | TERMINAL
    words = [sys.executable, "-P", "-c", START, *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().replace(f"{folder.resolve()}/", "")


if __name__ == "__main__":
    main()
