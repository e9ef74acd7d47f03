"""Commands that are killed at random moments and started again until they are finished."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.helpers.places import ROOT
from tests.helpers.processes import MARK, find_processes, wait_until_gone


class Job:
    """A command in a folder of its own, with its own cache and temporary folder.

    A subclass says how it starts and continues, what must hold after a kill, and what it must leave.
    """

    command = ("-m", "bearcnn")

    def __init__(self, place: Path, **environment: str) -> None:
        self.place, self.temporary = place, place / "temporary"
        self.cache = place / "cache"
        self.temporary.mkdir(parents=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "BEARCNN_CACHE": str(self.cache),
            MARK: str(place),
            "COLUMNS": "80",
            **environment,
        }
        self.counts: Counter[str] = Counter()

    def arguments(self) -> list[object]:
        """The command that starts, or continues where something was left."""
        raise NotImplementedError

    def watched(self) -> Path | None:
        """A file that is written again and again."""
        return None

    def check_killed(self) -> None:
        """What must hold after a kill."""

    def is_finished(self) -> bool:
        """Whether a kill came after all was written."""
        return False

    def check_finished(self) -> None:
        """What must hold at the end."""

    def reset(self) -> None:
        """Back to the beginning."""

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.place / "said").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, *self.command, *map(str, self.arguments())],
                cwd=self.place,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.place / "said").read_text(errors="replace")

    def run(self) -> float:
        """Run to the end, and return the seconds."""
        start = time.monotonic()
        code = self.start().wait(600)
        assert code == 0, f"{code}\n{self.said()}"
        wait_until_gone(str(self.place))
        return time.monotonic() - start

    def check_temporary(self) -> None:
        # torch makes a folder there for itself, always of the same name, and leaves it.
        left = sorted(path.name for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_"))
        assert not left, f"left in the temporary folder: {left}"


def torment(job: Job, kills: int, seed: int, seconds: float) -> None:
    """Kill a job again and again; each time it is finished it begins anew. It takes `seconds` when it is left alone.

    Half of the kills come at any moment, the others within moments of a change of the watched file. Half are of the
    process alone, which leaves its helpers behind; the others take these first or at once.
    """
    moments = random.Random(seed)
    while job.counts["kills"] < kills:
        process = job.start()
        if moments.random() < 0.5:
            _wait_for_change(job, process, moments.randrange(1, 4), seconds)
            wait = moments.random() ** 2 * 0.2
        else:
            wait = moments.uniform(0.05, seconds)
        try:
            code = process.wait(wait)
        except subprocess.TimeoutExpired:
            _kill(job, process, moments)
            wait_until_gone(str(job.place))
            job.check_killed()
            if not job.is_finished():
                continue
        else:
            assert code == 0, f"{code}\n{job.said()}"
            wait_until_gone(str(job.place))
        _finish(job)
        job.reset()
    job.run()
    _finish(job)


def _finish(job: Job) -> None:
    job.check_finished()
    job.counts["finished"] += 1


def _kill(job: Job, process: "subprocess.Popen[bytes]", moments: random.Random) -> None:
    if moments.random() < 0.5:
        process.kill()
        job.counts["of the process alone"] += 1
    else:
        for number in sorted(find_processes(str(job.place)), key=lambda _: moments.random()):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    process.wait(10)
    job.counts["kills"] += 1


def _wait_for_change(job: Job, process: "subprocess.Popen[bytes]", changes: int, seconds: float) -> None:
    deadline, before = time.monotonic() + 2 * seconds, _state(job.watched())
    while changes and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
        now = _state(job.watched())
        changes -= now != before
        before = now


def _state(path: Path | None) -> tuple[int, int] | None:
    try:
        return None if path is None else (path.stat().st_size, path.stat().st_mtime_ns)
    except OSError:
        return None
