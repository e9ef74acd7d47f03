"""Run the commands of docs/lesson.md in order, in an empty folder, and print how long each step takes.

    python scripts/lesson.py
    python scripts/lesson.py --rounds 3 --write    # and write the table into docs/lesson.md

Each round is a new folder, with a new cache. `--write` wants a machine that does nothing else.
"""

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LESSON = ROOT / "docs" / "lesson.md"
PROGRAMS = {"bearcnn": [sys.executable, "-m", "bearcnn"], "python": [sys.executable]}
BLOCK = re.compile(r"(<!-- times -->\n).*?(<!-- /times -->)", re.DOTALL)
sys.path.append(str(ROOT / "benchmarks"))


@dataclass(frozen=True)
class Step:
    """A heading of the lesson and the commands below it."""

    title: str
    commands: tuple[str, ...]


def read_steps(text: str) -> list[Step]:
    """List the lesson's steps: its headings with indented commands below them."""
    steps = []
    for part in re.sub(r" *\\\n *", " ", text).split("\n## ")[1:]:
        commands = [line.strip() for line in part.splitlines() if re.match(r"    (bearcnn|python) ", line)]
        if commands:
            steps.append(Step(part.splitlines()[0], tuple(commands)))
    return steps


def run_step(step: Step, folder: Path) -> float:
    """Run a step's commands and return their seconds."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "BEARCNN_CACHE": str(folder / "cache"),
        "COLUMNS": "80",
    }
    start = time.perf_counter()
    for command in step.commands:
        print(f"$ {command}", file=sys.stderr, flush=True)
        first, *words = shlex.split(command)
        words = [str(ROOT / word) if word.startswith(("docs/", "configs/")) else word for word in words]
        subprocess.run([*PROGRAMS[first], *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def make_table(steps: list[Step], rounds: list[list[float]]) -> str:
    """Build the table of seconds: the median of the rounds and their range."""

    def show(own: list[float]) -> str:
        middle = f"{statistics.median(own):.0f}"
        return middle if len(own) == 1 else f"{middle} ({min(own):.0f} to {max(own):.0f})"

    lines = ["| step | seconds |", "| --- | --- |"]
    lines += [f"| {step.title} | {show([own[number] for own in rounds])} |" for number, step in enumerate(steps)]
    lines.append(f"| all | {show([sum(own) for own in rounds])} |")
    return "\n".join(lines)


def main() -> None:
    """Run the lesson."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into docs/lesson.md")
    options = parser.parse_args()
    from measure import machine

    text = LESSON.read_text(encoding="utf-8")
    steps, rounds = read_steps(text), []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append([run_step(step, Path(folder)) for step in steps])
    table = make_table(steps, rounds)
    of = "One run. " if options.rounds == 1 else f"Median of {options.rounds} runs, with their range. "
    note = of + ", ".join(f"{key} {value}" for key, value in machine().items()) + "."
    print(f"{table}\n\n{note}")
    if options.write:
        block = f"{table}\n\n{note} `python scripts/lesson.py --rounds {options.rounds} --write` wrote this.\n"
        LESSON.write_text(BLOCK.sub(lambda found: found[1] + block + found[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
