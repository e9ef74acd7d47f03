"""The part of a step in slices that is the same whoever computes the other slices: replicas, or other ranks."""

from typing import Any

from fastai.callback.core import Callback
from torch import Tensor

from bearcnn.training.gradients import SliceStep

Batches = list[Tensor]


class Slices(Callback):
    """A step in slices, of which fastai computes one as if it were the batch.

    `class_loss` is the loss of the two classes in the step's whole batch, comparable with validation whether or not
    subclasses are trained.
    """

    order = -15
    name = "replicas"  # in the Learner, whichever class it is
    class_loss: Tensor
    _slice_step: SliceStep
    _sliced = False
    _row = 0  # of the slice that fastai computes
    _interrupted = False

    def after_loss(self) -> None:
        if not self.training:
            return
        if self._sliced:
            self.learn.loss_grad = self._slice_step.weigh(
                self._row, self.loss_grad, self.pred, self.yb, interrupted=self._interrupted
            )
        else:
            self.class_loss = self.loss_func(self.pred.detach(), self.yb[0])

    def after_fit(self) -> None:
        self.close()

    def share_validation(self) -> None:
        """Let others validate their slices of the photos; the Learner then goes through its own."""

    def collect_validation(self, logits: Batches, labels: Batches) -> tuple[Batches, Batches]:
        """Return own logits, each (photos, outputs), and labels, each (photos,), with those that others validated."""
        return logits, labels

    def agree(self, value: Any) -> Any:
        """Return what all decide by, where another computer may round otherwise."""
        return value

    def close(self) -> None:
        """End the fit's slices, and give the network memory of its own again.

        fastai doesn't call `after_fit` after Ctrl-C: whoever catches it calls this, and so does the next fit.
        """
        if not self._sliced:
            return
        self._sliced = False
        self._slice_step.memory.release_weights()
        self._slice_step.release_averages()
        for loader in (self.dls.train, self.dls.valid):
            loader.cut(1, (0,))
