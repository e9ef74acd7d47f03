"""Several trials at a time on this computer, in processes that each run one trial after another."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from bearcnn.machine import usable_threads
from bearcnn.sweep.executors.base import Executor, Job, Photos, run_here, share_threads
from bearcnn.sweep.folder import SweepFolder
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.trial_log import TrialResult, failed_result
from bearcnn.workers import prepare_worker, safe_path

# Why not concurrent.futures.ProcessPoolExecutor: tried with one spawn pool per worker, so that a dead process breaks
# only its own pool. Ctrl-C then hangs: an 8-second task kept the interpreter alive for 8 seconds, because a busy worker
# can't be ended before Python 3.14 (kill_workers). BrokenProcessPool hides the exit code, and with it "out of memory".
# The pipe for epochs and the watch over the parent process would still be our own code.


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    trial: Trial | None = None  # the trial that it runs now


@contextmanager
def run_in_processes(job: Job) -> Iterator[Executor]:
    """Run trials in as many processes as there are workers.

    torch's threads are divided among them, and the decoded pixels are in memory once. If a process dies, its trial
    fails and another process takes its place.
    """
    shares = share_threads(usable_threads(), job.resources.workers)
    workers: list[_Worker] = []

    def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
        waiting = deque(trials)
        while len(workers) < min(len(shares), len(trials)):
            workers.append(_start_worker(job.folder, job.fingerprint, shares[len(workers)]))
        while True:
            for worker in workers:
                if worker.trial is None and waiting:
                    worker.trial = waiting.popleft()
                    with suppress(OSError):  # a dead process is noticed below
                        worker.pipe.send(worker.trial)
                    job.reporter.trial_started(worker.trial.id, worker.trial.config.train.total_epochs)
            busy = {worker.pipe: number for number, worker in enumerate(workers) if worker.trial}
            if not busy:
                return
            for pipe in wait(list(busy)):
                number = busy[pipe]  # type: ignore[index]  # only our own pipes are waited for
                worker = workers[number]
                trial = worker.trial
                assert trial is not None
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    workers[number] = _start_worker(job.folder, job.fingerprint, shares[number])
                    yield failed_result(trial, job.fingerprint, _explain_exit(worker.process.exitcode))
                    continue
                if isinstance(message, int):
                    job.reporter.epoch_done(trial.id, message)
                else:
                    worker.trial = None
                    yield message

    try:
        yield Executor(run, slots=len(shares))
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


def _start_worker(folder: SweepFolder, fingerprint: str, threads: int) -> _Worker:
    # Spawned: a forked child would inherit torch's threads in any state.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, folder, fingerprint, threads), daemon=True)
    with safe_path():
        process.start()
    there.close()  # then the pipe ends with the process
    return _Worker(process, here)


def _explain_exit(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = " (out of memory? try fewer `workers`)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with exit code {code}"


def _work(pipe: Connection, folder: SweepFolder, fingerprint: str, threads: int) -> None:
    """Run trials in a worker process: trials in, epochs and results out, until the sweep's process ends."""
    prepare_worker()
    photos = Photos(fingerprint)
    while True:
        try:
            trial: Trial = pipe.recv()
        except EOFError:
            return
        pipe.send(run_here(trial, photos, folder.trial_folder(trial.id), pipe.send, threads))
