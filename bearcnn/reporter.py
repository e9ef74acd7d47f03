"""The progress of a training run. A `Reporter` is silent; the command line has one that shows everything."""

from collections.abc import Callable

from bearcnn.runs import EpochRecord, LayerRow

OnMaps = Callable[[str, int, int], None]
"""Gets the progress of a pretrained body's maps: what they are and their size, the photos done, and their total."""


class Reporter:
    """A silent listener; a subclass overrides the calls that it shows.

    Calls come from the thread that trains: `preparing` many times or never; with `train.folds`, for each fold
    `fold_epoch_done` many times and `fold_done` once; `model_built` once; for each epoch `running_loss` and
    `batch_done` many times and `epoch_done` once; then `stage` for each step after the training run. `warn` can come
    before the first epoch.
    """

    def preparing(self, what: str, done: int, total: int) -> None:
        """So many photos of something that is made once, such as a pretrained body's maps, are done; 0 at its start."""

    def fold_epoch_done(self, fold: int, epoch: int) -> None:
        """Report a finished epoch of a fold's network; both count from 1."""

    def fold_done(self, fold: int, roc_auc: float) -> None:
        """Report a finished fold, from 1, and the ROC AUC of its photos."""

    def model_built(self, layers: list[LayerRow]) -> None:
        """Report that the network is built, with its layers."""

    def running_loss(self, loss: float) -> None:
        """Report the mean training loss of this epoch so far; on a GPU, of some of its batches."""

    def batch_done(self, done: int, total: int) -> None:
        """Report the number of batches done in this epoch, and their total."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Report a finished epoch."""

    def warn(self, what: str) -> None:
        """Report what the user should know before the training run, as a sentence."""

    def stage(self, what: str) -> None:
        """Report the start of a longer step, such as "writing the report"."""


SILENT = Reporter()
