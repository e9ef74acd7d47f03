"""Shared parts of the executors: the job, the photos, and a trial in this process.

An executor returns results in the order in which trials end; only the caller writes the trial log. Results don't depend
on the executor, up to rounding differences from another number of torch threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bearcnn.config import DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.machine import usable_threads
from bearcnn.registry import load
from bearcnn.sweep.folder import SweepFolder
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.reporter import SweepReporter
from bearcnn.sweep.trial_log import TrialResult, failed_result


@dataclass(frozen=True, slots=True)
class Resources:
    """The executor of the trials, and the resources that it may use."""

    executor: str = "local"  # a name in EXECUTORS
    workers: int = 1  # trials at a time on this computer
    ray_address: str = ""  # empty: a new cluster on this computer, stopped at the end
    cpus: int = 1  # of a trial on Ray
    gpus: float = 0.0  # of a trial on Ray

    @property
    def threads(self) -> int:
        """torch's threads in a trial."""
        return share_threads(usable_threads(), self.workers)[0] if self.executor == "local" else self.cpus

    @property
    def own_process(self) -> bool:
        """Whether trials run in other processes, each of which loads torch first."""
        return self.executor != "local" or self.workers > 1


@dataclass(frozen=True, slots=True)
class Job:
    """Everything an executor needs besides the trials."""

    folder: SweepFolder
    dataset: Dataset  # the data set of `data`, already open
    data: DataConfig
    resources: Resources
    reporter: SweepReporter

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the sweep's photos."""
        return self.dataset.fingerprint


@dataclass(frozen=True, slots=True)
class Executor:
    """A running executor."""

    run: Callable[[Sequence[Trial]], Iterator[TrialResult]]  # in any order, each result as soon as it is ready
    slots: int  # trials at a time


@dataclass(frozen=True, slots=True)
class Photos:
    """The sweep's photos, opened once for each data section of the trials, with memory-mapped pixels."""

    fingerprint: str
    opened: dict[DataConfig, Dataset] = field(default_factory=dict)

    def open(self, config: DataConfig) -> Dataset:
        """Open the data set of a configuration.

        Raises:
            DataError: these are not the photos that the sweep began with.
        """
        config = config.with_all_photos  # each trial draws its own from them
        if config not in self.opened:
            dataset = Dataset.from_config(config)
            if dataset.fingerprint != self.fingerprint:
                raise DataError(f"the photos in {dataset.root} are not those that the sweep began with")
            self.opened[config] = dataset
        return self.opened[config]


def run_here(
    trial: Trial, photos: Photos, place: Path, on_epoch: Callable[[int], None], threads: int | None = None
) -> TrialResult:
    """Run a trial in this process, with `threads` torch threads unless None.

    If its photos can't be opened, the trial fails.
    """
    try:
        dataset = photos.open(trial.config.data)
    except DataError as error:
        return failed_result(trial, photos.fingerprint, str(error))
    # By name: torch and fastai load with the first trial, and only in the process that runs it.
    result: TrialResult = load("bearcnn.sweep.trial:run_trial")(trial, dataset, place, on_epoch, threads)
    return result


def share_threads(threads: int, workers: int) -> list[int]:
    """Divide threads among workers: shares differ by at most one, and each is at least one."""
    each, left = divmod(threads, workers)
    return [max(1, each + (number < left)) for number in range(workers)]
