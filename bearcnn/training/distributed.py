"""A step in slices, one for each rank of a world: gradients meet once a step, and each rank takes the same step.

All ranks run the same fit, with the same random numbers. What ends it is the same for all: a loss is the whole batch's,
scores are of all validation photos, and Ctrl-C at one rank reaches the others with the step's sum.
"""

import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from bearcnn.training.gradients import SliceStep, StepMemory
from bearcnn.training.slices import Batches, Slices
from bearcnn.training.world import World

_SECOND_CTRL_C = 5.0
"""Seconds after which another Ctrl-C doesn't wait for the step's end: a terminal and `torchrun` both send the first."""


class Distributed(Slices):
    """A step in slices by the ranks of a world, each of which computes one.

    On GPUs, batch norm has the statistics of the whole batch (`SyncBatchNorm`). On processors each slice has its own,
    and running averages are the mean of the slices'.

    Args:
        world: this rank and the others.
        seed: of the dropout masks.
    """

    def __init__(self, world: World, seed: int) -> None:
        super().__init__()
        self.world, self.seed = world, seed
        self._own = (world.rank,)
        self._shares_validation = False

    def before_fit(self) -> None:
        self.close()
        self.world.wait()  # others may still decode photos, or compute maps
        if self.dls.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(self.model.blocks, self.world.steps)
        memory = StepMemory(self.model, 1)
        self.world.copy(memory.flat)  # computers may draw other weights from the same seed
        memory.share_weights()
        self._slice_step = SliceStep(self.model, memory, self.loss_func, self.seed)
        self._sliced, self._interrupted, self._pressed = True, False, 0.0
        self._handles_signals = threading.current_thread() is threading.main_thread()
        if self._handles_signals:
            self._handler = signal.signal(signal.SIGINT, self._interrupt)

    def before_train(self) -> None:
        self.dls.train.cut(self.world.size, self._own)

    def before_batch(self) -> None:
        if self.training:
            self._slice_step.begin(self.dl.epoch, self.iter, self.world.rank)

    def after_backward(self) -> None:
        self._slice_step.keep(0)
        self.learn.loss, self.class_loss = self._slice_step.add_up(self.world.add, self.world.size)
        if self._slice_step.interruptions:
            raise KeyboardInterrupt

    def share_validation(self) -> None:
        """Let each rank validate its slice of the photos."""
        self._shares_validation = self.dl is self.dls.valid and len(self.dl.dataset) > 0
        if self._shares_validation:
            self.dl.cut(self.world.size, self._own)

    def collect_validation(self, logits: Batches, labels: Batches) -> tuple[Batches, Batches]:
        """Return the logits (photos, outputs) and labels (photos,) of all ranks, in their order."""
        if not self._shares_validation:
            return logits, labels
        loader, device = self.dls.valid, self.dls.device
        loader.cut(1, (0,))
        counts = [len(range(rank, len(loader.dataset), self.world.size)) for rank in range(self.world.size)]
        none = torch.empty(0, len(self.model.output_classes), device=device)
        joined: Tensor = self.world.join(torch.cat([none, *(each.float() for each in logits)]), counts)
        all_labels = [torch.from_numpy(loader.dataset.labels[rank :: self.world.size]) for rank in range(len(counts))]
        return [joined], [torch.cat(all_labels).to(device)]

    def agree(self, value: Any) -> Any:
        """Return rank 0's value: what decides when the training run ends must be the same to the last digit."""
        return self.world.share(lambda: value)

    def close(self) -> None:
        if self._sliced and self._handles_signals:
            signal.signal(signal.SIGINT, self._handler)
        super().close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Keep Ctrl-C for the step's sum: a rank that ended at once would leave the others waiting."""
        now = time.monotonic()
        if self._interrupted and now - self._pressed > _SECOND_CTRL_C:
            raise KeyboardInterrupt
        if not self._interrupted:
            self._interrupted, self._pressed = True, now
