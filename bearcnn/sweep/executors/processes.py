"""Where the trials of a sweep run: in this process, in several, or (ray_engine.py) on a cluster.

Each engine is a context manager that gives a function from trials to results as they come; the caller alone writes the
ledger. Results don't depend on the engine, up to the rounding that other numbers of torch's threads bring. torch is
imported inside functions, never at the top.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from bearcnn.config import DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.sweep.folder import Engine, Sweep, SweepWatcher, TrialResult
from bearcnn.sweep.plan import Trial, digest_config
from bearcnn.sweep.trial_log import Record


@dataclass(frozen=True, slots=True)
class Resources:
    """Which engine, and what it may take."""

    kind: str = "local"  # or ray
    workers: int = 1  # trials at a time on this computer
    ray_address: str = ""  # empty: a cluster that is started on this computer, and stopped at the end
    cpus: int = 1  # of a trial on Ray
    gpus: float = 0.0  # of a trial on Ray

    @property
    def threads(self) -> int:
        """torch's threads in a trial."""
        return self.cpus if self.kind == "ray" else share_threads(usable_threads(), self.workers)[0]


@dataclass(frozen=True, slots=True)
class Photos:
    """The sweep's photos, opened once for each way in which trials want them: their pixels are memory-mapped."""

    fingerprint: str
    opened: dict[DataConfig, Dataset] = field(default_factory=dict)

    def open(self, config: DataConfig) -> Dataset:
        """The data set of a configuration.

        Raises:
            DataError: these are not the photos that the sweep began with.
        """
        if config not in self.opened:
            dataset = Dataset.from_config(config)
            if dataset.fingerprint != self.fingerprint:
                raise DataError(f"the photos in {dataset.root} are not those that the sweep began with")
            self.opened[config] = dataset
        return self.opened[config]


@contextmanager
def open_engine(
    resources: Resources, sweep: Sweep, dataset: Dataset, config: DataConfig, watcher: SweepWatcher
) -> Iterator[tuple[Engine, int]]:
    """An engine, and how many trials it runs at a time; `dataset` is the one of `config`."""
    if resources.kind == "ray":
        from bearcnn.sweep.executors.ray import count_slots, on_ray  # needs an optional package

        with on_ray(resources, config, dataset.fingerprint) as engine:
            yield engine, count_slots(resources)
    elif resources.workers > 1:
        with in_processes(sweep, dataset.fingerprint, resources.workers, watcher) as engine:
            yield engine, resources.workers
    else:
        with in_this_process(sweep, dataset, config, watcher) as engine:
            yield engine, 1


@contextmanager
def in_this_process(sweep: Sweep, dataset: Dataset, config: DataConfig, watcher: SweepWatcher) -> Iterator[Engine]:
    """One trial after another, here; `dataset` is the one of `config`, opened already."""
    photos = Photos(dataset.fingerprint, {config: dataset})

    def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
        for trial in trials:
            watcher.trial_started(trial.id, trial.config.train.epochs)
            yield run_here(trial, photos, sweep.trial_folder(trial.id), partial(watcher.epoch_done, trial.id))

    yield run


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    trial: Trial | None = None  # what it is busy with


@contextmanager
def in_processes(sweep: Sweep, fingerprint: str, workers: int, watcher: SweepWatcher) -> Iterator[Engine]:
    """So many trials at a time, each in a process of its own that stays for the next one.

    torch's threads are shared out among them, and the decoded pixels lie in memory once for all. A process that dies
    makes its trial a failed one, and another takes its place.
    """
    # Spawned: a forked child would inherit torch's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    shares = share_threads(usable_threads(), workers)
    crew: list[_Worker] = []

    def hire(threads: int) -> _Worker:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, sweep, fingerprint, threads), daemon=True)
        process.start()
        there.close()  # so that its death ends the pipe
        return _Worker(process, here)

    def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
        waiting = deque(trials)
        while len(crew) < min(workers, len(trials)):
            crew.append(hire(shares[len(crew)]))
        while True:
            for worker in crew:
                if worker.trial is None and waiting:
                    worker.trial = waiting.popleft()
                    with suppress(OSError):  # dead: noticed below
                        worker.pipe.send(worker.trial)
                    watcher.trial_started(worker.trial.id, worker.trial.config.train.epochs)
            busy = {worker.pipe: number for number, worker in enumerate(crew) if worker.trial}
            if not busy:
                return
            for pipe in wait(list(busy)):
                number = busy[pipe]  # type: ignore[index]  # what waits here are our own pipes
                worker = crew[number]
                trial = worker.trial
                assert trial is not None
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    crew[number] = hire(shares[number])
                    yield lost_trial(trial, fingerprint, _explain_exit(worker.process.exitcode))
                    continue
                if isinstance(message, int):
                    watcher.epoch_done(trial.id, message)
                else:
                    worker.trial = None
                    yield message

    try:
        yield run
    finally:
        for worker in crew:
            worker.process.kill()
        for worker in crew:
            worker.process.join()
            worker.pipe.close()


def share_threads(threads: int, workers: int) -> list[int]:
    """How many threads each worker gets: as many as the others or one more, and at least one."""
    each, left = divmod(threads, workers)
    return [max(1, each + (number < left)) for number in range(workers)]


def usable_threads() -> int:
    """Cores that this process may use, or fewer if OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores


def lost_trial(trial: Trial, fingerprint: str, reason: str) -> TrialResult:
    """The result of a trial whose process is gone."""
    record = Record(
        id=trial.id, settings=trial.settings, seed=trial.seed, status="failed", reason=reason,
        config=digest_config(trial.config), data=fingerprint, seconds=0.0, epochs=0, best_epoch=0, scores={},
        threads=0, host="", finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return TrialResult(record, "", {}, reason + "\n")


def _explain_exit(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = " (out of memory? try fewer --workers)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with exit code {code}"


def _work(pipe: Connection, sweep: Sweep, fingerprint: str, threads: int) -> None:
    """The life of a worker process: trials in, epochs and results out, until the sweep's own process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sweep, which then ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import bearcnn._torch  # noqa: F401

    # isort: split
    import torch

    torch.set_num_threads(threads)
    photos = Photos(fingerprint)
    while True:
        try:
            trial: Trial = pipe.recv()
        except EOFError:
            return
        pipe.send(run_here(trial, photos, sweep.trial_folder(trial.id), pipe.send))


def run_here(trial: Trial, photos: Photos, folder: Path, on_epoch: Callable[[int], None]) -> TrialResult:
    """A trial in this process; photos that can't be opened make it a failed one."""
    from bearcnn.sweep.trial import run_trial

    try:
        dataset = photos.open(trial.config.data)
    except DataError as error:
        return lost_trial(trial, photos.fingerprint, str(error))
    return run_trial(trial, dataset, folder, on_epoch)


def _die_with_parent() -> None:
    # An orphan would go on writing into a folder that a resumed sweep is using.
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    sys.stderr = None  # nobody is left to read it
    os._exit(1)
