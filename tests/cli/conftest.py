"""The command line in this process, and a folder with a finished run."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bearcnn.cli.app import main


@dataclass(frozen=True, slots=True)
class Said:
    """What a command wrote."""

    stdout: str
    stderr: str


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Said]:
    """Run a command without a process of its own: for all but start-up, signals, streams and what is loaded."""

    def run(*arguments: object, code: int = 0, cwd: Path | None = None) -> Said:
        if cwd:
            monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "argv", ["bearcnn", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert (left.value.code or 0) == code, f"{left.value.code}\n{said.out}\n{said.err}"
        return Said(said.out, said.err)

    return run


@pytest.fixture(scope="session")
def work(trained) -> Path:
    """The folder in which runs/latest is the trained run."""
    return trained[0].directory.parent
