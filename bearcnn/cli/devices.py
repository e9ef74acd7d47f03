"""`bearcnn train --devices N`: this command in N processes, which train one network; and each of these processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from types import FrameType
from typing import TYPE_CHECKING

from bearcnn.cli.display import console
from bearcnn.errors import BearcnnError, RankLostError
from bearcnn.machine import usable_threads
from bearcnn.workers import RENDEZVOUS, end_with_parent, exit_on_sigterm, module_path, started_as_rank

if TYPE_CHECKING:
    from bearcnn.training.world import World

_GRACE_AFTER_KILL, _GRACE_AFTER_ERROR = 50.0, 10.0
"""Seconds for the others to see that one was killed, which is more than `world.STEP_SECONDS`; or to end, once one has
seen that something is wrong."""

_TIME_TO_TELL = 2.0
"""Seconds before a silent process ends with an error: torchrun ends the others at once, also the one that tells it."""


def run_on_devices(count: int) -> int:
    """Run this very command in `count` processes, and return the exit code of what they did.

    They meet in a folder that nobody else can read, and speak over the loopback device: no port is open to others.

    Raises:
        BearcnnError: a process was killed, and no other was left to tell.
    """
    from bearcnn.data.scratch import scratch_folder

    with scratch_folder(Path(gettempdir()), "bearcnn-devices") as folder, exit_on_sigterm():
        ranks: list[subprocess.Popen[bytes]] = []
        try:
            ranks += [_start(rank, count, str(folder)) for rank in range(count)]
            _watch(ranks)
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
    codes = [rank.returncode for rank in ranks]
    killed = [rank for rank, code in enumerate(codes) if code < 0]
    if killed and max(codes) <= 0:
        raise BearcnnError(
            f"process {killed[0]} of {count} was ended by signal {-codes[killed[0]]}, and the training run with it; "
            "if an epoch was finished, `bearcnn train --resume RUN` continues"
        )
    return next((code for code in codes if code > 0), 0)


def _start(rank: int, count: int, folder: str) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        RENDEZVOUS: folder,
        "PYTHONPATH": module_path(),
    }
    environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_threads() // count)))
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # In a session of its own: Ctrl-C is for this process, which passes it on. Its standard input ends with this one.
    return subprocess.Popen(  # noqa: S603 - the command that the user has just given
        [sys.executable, "-P", "-m", "bearcnn", *sys.argv[1:]],
        env=environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _watch(ranks: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Wait until all have ended, or one has failed and the others have had their time; pass Ctrl-C on."""
    ends = float("inf")
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < ends:
        try:
            time.sleep(0.1)
        except KeyboardInterrupt:
            with suppress(OSError, ValueError):  # Windows has no such signal
                ranks[0].send_signal(signal.SIGINT)
        codes = [rank.poll() or 0 for rank in ranks]
        if any(codes):
            grace = _GRACE_AFTER_ERROR if max(codes) > 0 else _GRACE_AFTER_KILL
            ends = min(ends, time.monotonic() + grace)


@contextmanager
def joined_ranks() -> Iterator["World | None"]:
    """Join the other processes of a training run, where this is one of several; all but rank 0 are silent."""
    if not started_as_rank():
        yield None
        return
    from bearcnn.training.world import join_world

    if RENDEZVOUS in os.environ:
        end_with_parent(sys.stdin.fileno())
    with join_world() as world, _losing_on_sigterm(tells=world.leads):
        if not world.leads:
            console.silence()
        try:
            yield world
        except BearcnnError as error:
            if error.told:
                time.sleep(_TIME_TO_TELL)
            raise


@contextmanager
def _losing_on_sigterm(*, tells: bool) -> Iterator[None]:
    """Say how the training run continues when torchrun ends this process, because another one has ended."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        error = RankLostError("this process was told to end (SIGTERM), as torchrun does when another one has ended")
        error.told = not tells
        raise error

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
