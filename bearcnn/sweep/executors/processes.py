"""Several trials at a time on this computer, in processes that each run one trial after another."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from bearcnn.machine import usable_threads
from bearcnn.sweep.executors.base import Executor, Job, Photos, run_here, share_threads
from bearcnn.sweep.folder import SweepFolder
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.trial_log import TrialResult, failed_result
from bearcnn.workers import Heard, WorkerEnd, WorkerProcess


@dataclass(slots=True)
class _Worker:
    process: WorkerProcess
    threads: int
    trial: Trial | None = None  # the trial that it runs now


@contextmanager
def run_in_processes(job: Job) -> Iterator[Executor]:
    """Run trials in as many processes as there are workers.

    torch's threads are divided among them, and the decoded pixels are in memory once. If a process dies, its trial
    fails and another process takes its place.
    """
    shares = share_threads(usable_threads(), job.resources.workers)
    workers: list[_Worker] = []
    heard: SimpleQueue[Heard] = SimpleQueue()

    def start(threads: int) -> _Worker:
        return _Worker(WorkerProcess(heard, _work, job.folder, job.fingerprint, threads), threads)

    def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
        waiting = deque(trials)
        while len(workers) < min(len(shares), len(trials)):
            workers.append(start(shares[len(workers)]))
        while True:
            for worker in workers:
                if worker.trial is None and waiting:
                    worker.trial = waiting.popleft()
                    worker.process.send(worker.trial)
                    job.reporter.trial_started(worker.trial.id, worker.trial.config.train.total_epochs)
            if not any(worker.trial for worker in workers):
                return
            process, message = heard.get()
            worker = next(each for each in workers if each.process is process)
            trial = worker.trial
            if isinstance(message, WorkerEnd):
                process.close()
                workers[workers.index(worker)] = start(worker.threads)
                if trial is not None:
                    yield failed_result(trial, job.fingerprint, message.words)
            elif isinstance(message, int):
                assert trial is not None
                job.reporter.epoch_done(trial.id, message)
            else:
                worker.trial = None
                yield message

    try:
        yield Executor(run, slots=len(shares))
    finally:
        for worker in workers:
            worker.process.close()


def _work(
    receive: Callable[[], Trial], send: Callable[[Any], None], folder: SweepFolder, fingerprint: str, threads: int
) -> None:
    """Run trials in a worker process: trials in, epochs and results out, until the sweep's process ends."""
    photos = Photos(fingerprint)
    while True:
        trial = receive()
        send(run_here(trial, photos, folder.trial_folder(trial.id), send, threads))
