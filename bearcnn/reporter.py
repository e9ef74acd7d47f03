"""The progress of a training run. A `Reporter` is silent; the command line has one that shows everything."""

from bearcnn.runs import EpochRecord, LayerRow


class Reporter:
    """A silent listener; a subclass overrides the calls that it shows.

    Calls come from the thread that trains: `preparing` many times or never; `model_built` once; for each epoch
    `batch_done` many times and `epoch_done` once; then `stage` for each step after the training run. `warn` can come
    before the first epoch.
    """

    def preparing(self, what: str, done: int, total: int) -> None:
        """So many photos of something that is made once, such as a pretrained body's maps, are done; 0 at its start."""

    def model_built(self, layers: list[LayerRow]) -> None:
        """Report that the network is built, with its layers."""

    def batch_done(self, done: int, total: int) -> None:
        """Report the number of batches done in this epoch, and their total."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Report a finished epoch."""

    def warn(self, what: str) -> None:
        """Report what the user should know before the training run, as a sentence."""

    def stage(self, what: str) -> None:
        """Report the start of a longer step, such as "exporting the best epoch"."""


SILENT = Reporter()
