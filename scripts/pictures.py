"""Make the pictures of README.md and docs/, each by its command in docs/pictures/pictures.toml.

    python scripts/pictures.py                 # those that are out of date
    python scripts/pictures.py windows.png     # this one, in any case
    python scripts/pictures.py --all
    python scripts/pictures.py --check         # make nothing; name what is out of date, with exit code 1

Git keeps no times of files, so digests tell: docs/pictures/made.json holds, for each picture, one of what it was made
from (its command, the commands of the folders that it needs, and its sources) and one of the picture itself.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
MANIFEST, MADE = PICTURES / "pictures.toml", PICTURES / "made.json"
PROGRAMS = {"bearcnn": [sys.executable, "-m", "bearcnn"], "python": [sys.executable], "cp": ["cp"]}


@dataclass(frozen=True)
class Folder:
    """A folder that commands need, and the command that makes it."""

    path: str
    command: str


@dataclass(frozen=True)
class Picture:
    """A picture, the command that writes it to {out}, and patterns of the files that draw it."""

    file: str
    command: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The content of pictures.toml."""

    folders: tuple[Folder, ...]
    pictures: tuple[Picture, ...]

    def needs(self, command: str) -> list[Folder]:
        """List the folders that a command names and those that their own commands name, first things first."""
        found: list[Folder] = []
        for folder in self.folders:
            named = any(word == folder.path or word.startswith(f"{folder.path}/") for word in shlex.split(command))
            if named and folder.command != command:
                found += [each for each in (*self.needs(folder.command), folder) if each not in found]
        return found


def read_plan() -> Plan:
    """Read pictures.toml."""
    content = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    pictures = [Picture(row["file"], row["command"], tuple(row["sources"])) for row in content["picture"]]
    return Plan(tuple(Folder(**row) for row in content["folder"]), tuple(pictures))


def find_sources(picture: Picture) -> list[Path]:
    """List the files that draw a picture.

    Raises:
        SystemExit: a pattern matches no file.
    """
    found: set[Path] = set()
    for pattern in picture.sources:
        files = {file for file in ROOT.glob(pattern) if file.is_file()}
        if not files:
            raise SystemExit(f"{picture.file}: no file matches its source {pattern!r}; correct {MANIFEST}")
        found |= files
    return sorted(found)


def digest_origin(plan: Plan, picture: Picture) -> str:
    """Compute the digest of what a picture is made from."""
    commands = [folder.command for folder in plan.needs(picture.command)] + [picture.command]
    sources = {file.relative_to(ROOT).as_posix(): _digest(file.read_bytes()) for file in find_sources(picture)}
    return _digest(json.dumps([commands, sources]).encode())


def explain_state(plan: Plan, picture: Picture) -> str | None:
    """Say why a picture is out of date, or None."""
    made = _read_made().get(picture.file)
    file = PICTURES / picture.file
    if made is None or not file.is_file():
        return "not made yet"
    if made["from"] != digest_origin(plan, picture):
        return "older than what draws it"
    if made["picture"] != _digest(file.read_bytes()):
        return "changed by something else than its command"
    return None


def make(plan: Plan, picture: Picture) -> None:
    """Make a picture, and first the folders that it needs."""
    for folder in plan.needs(picture.command):
        if not (ROOT / folder.path).exists():
            _run(folder.command)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / picture.file
        _run(picture.command.replace("{out}", shlex.quote(str(out))))
        content = out.read_bytes()
    (PICTURES / picture.file).write_bytes(content)
    made = _read_made()
    made[picture.file] = {"from": digest_origin(plan, picture), "picture": _digest(content)}
    known = {each.file for each in plan.pictures}
    kept = {name: made[name] for name in sorted(made) if name in known}
    MADE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _run(commands: str) -> None:
    """Run commands, one a line, in the root of the checkout, with this Python's bearcnn."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "80"}
    for command in commands.strip().splitlines():
        print(f"$ {command}", file=sys.stderr, flush=True)
        first, *words = shlex.split(command)
        subprocess.run([*PROGRAMS[first], *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environment)


def _read_made() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(MADE.read_text(encoding="utf-8")) if MADE.is_file() else {}
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def main() -> None:
    """Make or check pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="PICTURE", help="names of pictures; default: all out of date")
    parser.add_argument("--all", action="store_true", help="make every picture anew")
    parser.add_argument("--check", action="store_true", help="make nothing; exit code 1 if one is out of date")
    options = parser.parse_args()
    plan = read_plan()
    by_name = {picture.file: picture for picture in plan.pictures}
    for name in options.files:
        if name not in by_name:
            parser.error(f"{name} is not in {MANIFEST.relative_to(ROOT)}")
    chosen = [by_name[name] for name in options.files] or list(plan.pictures)
    anew = bool(options.all or options.files) and not options.check
    late = [(picture, why) for picture in chosen if (why := "asked for" if anew else explain_state(plan, picture))]
    for picture, why in late:
        print(f"{picture.file}: {why}", flush=True)
        if not options.check:
            make(plan, picture)
    if options.check and late:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
