"""Who is told how work goes. A `Reporter` is silent; the command line has one that shows everything."""

from bearcnn.runs import EpochRecord, LayerRow


class Reporter:
    """Silent: a subclass says what it likes to.

    Calls come from the thread that trains: `preparing` many times or never; `model_built` once; for each epoch
    `batch_done` many times and `epoch_done` once; then `stage` for each step after the training.
    """

    def preparing(self, what: str, done: int, total: int) -> None:
        """So many photos of something that is made once, such as a pretrained body's maps, are done; 0 at its start."""

    def model_built(self, layers: list[LayerRow]) -> None:
        """The network is ready to be trained."""

    def batch_done(self, done: int, total: int) -> None:
        """So many of an epoch's batches are done."""

    def epoch_done(self, record: EpochRecord) -> None:
        """An epoch is finished."""

    def stage(self, what: str) -> None:
        """A step begins that takes a moment, such as "exporting the best epoch"."""


SILENT = Reporter()
