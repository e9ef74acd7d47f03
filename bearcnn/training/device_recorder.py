"""fastai's `Recorder` for a GPU: losses stay on the device until the end of an epoch.

fastai copies the loss to the processor after each batch, which waits until the device has computed the batch: the next
one could only then be prepared.
"""

from typing import Any

import torch
from fastai.learner import AvgLoss, AvgSmoothLoss, Learner, Recorder
from torch import Tensor


class DeviceAvgLoss(AvgLoss):
    """The average loss of an epoch, summed on the device."""

    total: Any

    def accumulate(self, learn: Learner) -> None:
        self.total = self.total + learn.loss.detach().mean() * len(learn.yb[0])
        self.count += len(learn.yb[0])


class DeviceSmoothLoss(AvgSmoothLoss):
    """fastai's moving average of the losses, computed on the device."""

    val: Tensor

    def accumulate(self, learn: Learner) -> None:
        loss = learn.loss.detach().mean()
        self.val = torch.lerp(loss, self.val.to(loss.device) if self.count == 0 else self.val, self.beta)
        self.count += 1


class DeviceRecorder(Recorder):
    """fastai's record of losses and learning rates, copied to the processor once in an epoch."""

    name = "recorder"  # `learner.recorder`, as fastai's own

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.smooth_loss = DeviceAvgLoss(), DeviceSmoothLoss()

    def before_fit(self) -> None:
        super().before_fit()
        self._copied = 0

    def after_train(self) -> None:
        super().after_train()
        losses: list[Tensor] = self.losses[self._copied :]
        if losses:
            self.losses[self._copied :] = torch.stack(losses).cpu().unbind()
        self._copied = len(self.losses)
