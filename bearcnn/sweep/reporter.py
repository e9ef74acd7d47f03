"""The progress of a sweep: calls that a listener overrides."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bearcnn.reporter import OnMaps
from bearcnn.sweep.plan import GridPoint, Plan
from bearcnn.sweep.trial_log import Record


class SweepReporter:
    """A silent listener; a subclass overrides the calls that it shows.

    All calls come from one thread.
    """

    wants_estimate = False
    """Whether a few training steps are timed before the sweep begins, to estimate how long it takes."""

    def sweep_planned(
        self, directory: Path, plan: Plan, points: Sequence[GridPoint], done: Mapping[str, Record], total: int
    ) -> None:
        """Report the plan: its grid, the trials that are done, and the total number of trials."""

    def preparing(self) -> AbstractContextManager[OnMaps]:
        """Return a context for the computation of pretrained bodies' maps, and a function that gets its progress."""
        return nullcontext(lambda *_: None)

    def timing(self) -> AbstractContextManager[object]:
        """Return a context for the time in which training steps are timed."""
        return nullcontext()

    def running(self, seconds: float, slots: int) -> AbstractContextManager[object]:
        """Return a context for the time in which trials run: about `seconds` (0: unknown), `slots` at a time."""
        return nullcontext()

    def trial_started(self, trial: str, epochs: int) -> None:
        """Report that a trial of `epochs` epochs has started."""

    def epoch_done(self, trial: str, epoch: int) -> None:
        """Report that a trial has finished epoch number `epoch`."""

    def trial_finished(self, record: Record) -> None:
        """Report that a trial, done or failed, is in the trial log."""


SILENT = SweepReporter()
