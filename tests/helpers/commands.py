"""The command line, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path


def bearcnn_command(*arguments: object, cwd: Path | None = None, stdin: str = "", code: int = 0, **environment: str):
    """The real command line in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", "bearcnn", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    assert process.returncode == code, f"{process.returncode}\n{process.stdout}\n{process.stderr}"
    return process


def explain_scripts(folder: Path, names: list[str]) -> dict[str, str]:
    """What each script says to --help, all in one process: most of their time is for the packages that they share."""
    code = (
        "import contextlib, io, json, runpy, sys\n"
        "folder, *names = sys.argv[1:]\n"
        "sys.path[0], said = folder, {}\n"
        "for name in names:\n"
        "    sys.argv = [f'{folder}/{name}.py', '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as text:\n"
        "        try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "        except SystemExit as ended: assert not ended.code, (name, ended.code)\n"
        "    said[name] = text.getvalue()\n"
        "print(json.dumps(said))"
    )
    process = subprocess.run([sys.executable, "-c", code, folder, *names], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    found: dict[str, str] = json.loads(process.stdout)
    return found


def some_photos(photos: Path, count: int = 4) -> list[Path]:
    return sorted((photos / "test").rglob("*.jpg"))[:count]
