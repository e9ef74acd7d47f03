"""A user's command, started for a photo in the background; whatever becomes of it, the caller goes on."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from bearcnn.errors import BearcnnError

PLACE = "{}"
"""Stands for the photo in a command."""
_RUNNING = 8
_QUEUED = 1000  # a command that hangs must not fill the memory
_FAREWELL = 5.0  # s for the commands that are still running at the end
_GRACE = 2.0  # s between a polite signal and the last one
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that is over."""

    photo: str
    outcome: str
    """In words: exit code 0, signal 9, no such program ..."""
    ok: bool
    seconds: float


def split_command(command: str) -> list[str]:
    """Split a command into its words as a shell does, without being one: nothing else in it has a meaning.

    Raises:
        BearcnnError: it has no word, or a quote isn't closed.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BearcnnError(f"`on_bear` {command!r} can't be read: {str(error).lower()}") from None
    if not words:
        raise BearcnnError("`on_bear` is empty: name a program")
    return words


def fill_in(words: list[str], photo: str) -> list[str]:
    """Put a photo's path where PLACE stands in a command, or else at its end, as a word of its own."""
    if not any(PLACE in word for word in words):
        return [*words, photo]
    return [word.replace(PLACE, photo) for word in words]


class BackgroundCommands:
    """Runs a command for photos, a few at a time, each in a group of processes of its own.

    What it writes goes to stderr: stdout is for answers. The methods and callbacks are called from several threads.

    Args:
        words: the command, from `split_command`.
        timeout: seconds after which it is stopped.
        on_ended: called once for each command that was asked for, when it is over or couldn't be started.
    """

    def __init__(self, words: list[str], timeout: float, on_ended: Callable[[Ended], None]) -> None:
        self._words, self._timeout, self._on_ended = words, timeout, on_ended
        self._pool = ThreadPoolExecutor(_RUNNING, thread_name_prefix="command")
        self._waiting: dict[Future[None], str] = {}  # and running
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()

    def start(self, photo: str, environment: dict[str, str], on_started: Callable[[], None]) -> None:
        """Start the command for a photo as soon as fewer than 8 are running."""
        with self._lock:
            full = len(self._waiting) >= _QUEUED
        if full:
            self._on_ended(Ended(photo, f"not started: {_QUEUED:,} others are waiting", False, 0.0))
            return
        future = self._pool.submit(self._run, photo, environment, on_started)
        with self._lock:
            self._waiting[future] = photo
        future.add_done_callback(self._take_out)

    def close(self) -> None:
        """Give the running commands some seconds, then stop them; those that wait are not started."""
        with self._lock:
            waiting = list(self._waiting.items())
        for future, photo in waiting:
            if future.cancel():
                self._on_ended(Ended(photo, "not started: the watch ended", False, 0.0))
        for seconds, number in ((_FAREWELL, signal.SIGTERM), (_GRACE, _KILL)):
            deadline = time.monotonic() + seconds
            while self._waiting and time.monotonic() < deadline:
                time.sleep(0.02)
            for process in list(self._running):
                _send(process, number)
        self._pool.shutdown()

    def _take_out(self, future: Future[None]) -> None:
        with self._lock:
            self._waiting.pop(future, None)

    def _run(self, photo: str, environment: dict[str, str], on_started: Callable[[], None]) -> None:
        start = time.monotonic()
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                fill_in(self._words, photo),
                stdin=subprocess.DEVNULL,
                stdout=2,  # our stderr
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C is for the watch alone
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._on_ended(Ended(photo, f"can't be started: {reason}", False, 0.0))
            return
        self._running.add(process)
        on_started()
        try:
            process.wait(self._timeout)
            outcome = _describe(process.returncode)
        except subprocess.TimeoutExpired:
            _stop(process)
            outcome = f"stopped after {self._timeout:g} s"
        finally:
            self._running.discard(process)
        self._on_ended(Ended(photo, outcome, process.returncode == 0, time.monotonic() - start))


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a command and what it has started: politely, so that a siren can be switched off, and then at once."""
    _send(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _send(process, _KILL)
    process.wait()


def _send(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(OSError):  # it has just ended
        if process.poll() is None and hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        elif process.poll() is None:
            process.terminate()
