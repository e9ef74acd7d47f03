"""One trial after another in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bearcnn.sweep.executors.base import Executor, Job, Photos, run_here
from bearcnn.sweep.plan import Trial
from bearcnn.sweep.trial_log import TrialResult


@contextmanager
def run_serially(job: Job) -> Iterator[Executor]:
    """Run trials in this process, on the data set that is already open."""
    photos = Photos(job.fingerprint, {job.data.with_all_photos: job.dataset})

    def run(trials: Sequence[Trial]) -> Iterator[TrialResult]:
        for trial in trials:
            job.reporter.trial_started(trial.id, trial.config.train.total_epochs)
            yield run_here(trial, photos, job.folder.trial_folder(trial.id), partial(job.reporter.epoch_done, trial.id))

    yield Executor(run, slots=1)
