"""fastai callbacks: seeds, precision, scores, checkpoints, early stopping.

A resumed fit still calls `after_epoch` for the epochs that it skips (fastai issue 3780): callbacks at an epoch's end
check `is_skipped` first.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from fastai.callback.core import Callback, CancelFitException
from torch import Tensor

from bearcnn.config import LAST_EPOCH, Config, Monitor
from bearcnn.evaluation.metrics import score
from bearcnn.model.network import BearCNN, bear_logit
from bearcnn.runs import EpochRecord, Run
from bearcnn.training.checkpoint import TrainingState, write_checkpoint


class _EpochCallback(Callback):
    """A callback for the end of an epoch, except epochs that a resumed run finished before."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state, self.finished, self.earlier = state, state.phase_epochs, state.epochs - state.phase_epochs

    @property
    def is_skipped(self) -> bool:
        """Whether this epoch was finished before the interruption."""
        return bool(self.epoch < self.finished)

    @property
    def number(self) -> int:
        """The number of this epoch, from 1, over both phases."""
        return int(self.earlier + self.epoch + 1)


class SeedEpoch(Callback):
    """The seed and the picture size of an epoch: all its randomness is a function of (seed, epoch).

    That is the loader's batches and the dropout masks. The sizes are those of `train.sizes`, spread over the epochs of
    this fit. Before the last size, validation uses the training size too: at full size it would take longer than the
    training.

    Args:
        config: the network and how it is trained.
        first: number of this fit's first epoch in the random numbers, from 0.
    """

    order = -20

    def __init__(self, config: Config, first: int = 0) -> None:
        super().__init__()
        self.config, self.first = config, first

    def before_train(self) -> None:
        train, valid = self.dls.train, self.dls.valid
        train.epoch, train.size = self.first + self.epoch, self.config.training_size(self.epoch, self.n_epoch)
        last = train.size == self.config.training_size(self.n_epoch - 1, self.n_epoch)
        valid.size = self.config.data.image_size if last else train.size
        torch.manual_seed(self.config.train.seed * 1_000_003 + self.first + self.epoch)


class BFloat16Blocks(Callback):
    """bfloat16 in the network's blocks during a fit; the head, and everything outside a fit, stays in float32.

    The blocks are nearly all of the work. fastai's `MixedPrecision` is for CUDA only.
    """

    order = -10

    def before_fit(self) -> None:
        self._remove()
        self._hooks = bfloat16_blocks(self.model, self.dls.device.type)

    def after_fit(self) -> None:
        self._remove()

    def _remove(self) -> None:
        for hook in getattr(self, "_hooks", ()):
            hook.remove()
        self._hooks = []


def bfloat16_blocks(model: BearCNN, device: str) -> list[Any]:
    """Let a network's blocks compute in bfloat16, until the hooks that are returned are removed."""
    autocast = torch.autocast(device, torch.bfloat16)

    def enter(*_: Any) -> None:  # a hook's return value would replace the maps
        autocast.__enter__()

    def leave(*_: Any) -> None:
        autocast.__exit__(None, None, None)

    return [
        model.blocks.register_forward_pre_hook(enter),
        model.blocks.register_forward_hook(leave, always_call=True),
    ]


class CountBatches(Callback):
    """The number of batches done in an epoch, reported to a function."""

    run_valid = False

    def __init__(self, on_batch: Callable[[int, int], None]) -> None:
        super().__init__()
        self.on_batch = on_batch

    def after_batch(self) -> None:
        self.on_batch(self.iter + 1, self.n_iter)


class EpochMetrics(_EpochCallback):
    """Losses, scores and speed of each epoch, appended to `state` as an EpochRecord."""

    order = 10

    def __init__(self, state: TrainingState, monitor: Monitor) -> None:
        super().__init__(state)
        self.monitor = monitor

    def before_train(self) -> None:
        self._start = time.perf_counter()
        self._losses: list[Tensor] = []
        self._photos = 0

    def after_train(self) -> None:
        self._trained = time.perf_counter()

    def before_validate(self) -> None:
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []
        self.replicas.share_validation()

    def after_validate(self) -> None:
        self._logits, self._labels = self.replicas.collect_validation(self._logits, self._labels)

    def after_batch(self) -> None:
        if self.training:
            self._losses.append(self.replicas.class_loss)
            self._photos += self.dl.bs
            if not torch.isfinite(self.loss):
                raise CancelFitException("the loss is not a number")
        else:
            self._logits.append(self.pred.detach())
            self._labels.append(self.yb[0])

    def after_epoch(self) -> None:
        if self.is_skipped:
            return
        scores, valid_loss = (
            self.replicas.agree(self._score()) if self._logits else (defaultdict(lambda: math.nan), math.nan)
        )
        reached = self._reach(valid_loss, scores)
        size = self.dls.train.size
        # A larger picture size wins, although its first score may be lower.
        best = reached > self.state.best_score or size > self.state.best_size
        if best:
            self.state.best_score, self.state.best_epoch, self.state.best_size = reached, self.number, size
        now = time.perf_counter()
        self.state.records.append(
            EpochRecord(
                epoch=self.number,
                size=size,
                train_loss=float(torch.stack(self._losses).mean()),
                valid_loss=valid_loss,
                accuracy=scores["accuracy"],
                balanced_accuracy=scores["balanced_accuracy"],
                f1=scores["f1"],
                roc_auc=scores["roc_auc"],
                average_precision=scores["average_precision"],
                lr=float(self.opt.hypers[-1]["lr"]),
                seconds=now - self._start,
                images_per_second=self._photos / (self._trained - self._start),
                best=best,
                unfrozen=self.state.unfrozen,
            )
        )

    def _score(self) -> tuple[Mapping[str, float], float]:
        """Return the scores of the validation photos, and their loss."""
        logits, labels = torch.cat(self._logits).float(), torch.cat(self._labels)
        if not torch.isfinite(logits).all():
            raise CancelFitException("the network's outputs are not finite")
        probabilities = bear_logit(logits, self.loss_func.output_classes).double().sigmoid().cpu().numpy()
        return score(labels.cpu().numpy(), probabilities), float(self.loss_func(logits, labels))

    def _reach(self, valid_loss: float, scores: Mapping[str, float]) -> float:
        """Return the number that is larger the better the epoch is."""
        if self.monitor == LAST_EPOCH:
            return self.number
        return -valid_loss if self.monitor == "valid_loss" else scores[self.monitor]


class SaveCheckpoint(_EpochCallback):
    """A checkpoint after each epoch, written before the epoch is reported."""

    order = 20

    def __init__(self, run: Run, state: TrainingState, on_epoch: Callable[[EpochRecord], None]) -> None:
        super().__init__(state)
        self.run_folder, self.on_epoch = run, on_epoch

    def after_epoch(self) -> None:
        if self.is_skipped:
            return
        write_checkpoint(self.run_folder, self.state, self.model, self.opt)
        self.run_folder.write_history(self.state.records)
        self.on_epoch(self.state.records[-1])


class EarlyStopping(_EpochCallback):
    """The end of training after `patience` epochs without a better score at the last picture size."""

    order = 15  # before the checkpoint, which stores the decision

    def __init__(self, state: TrainingState, patience: int, last_size: int) -> None:
        super().__init__(state)
        self.patience, self.last_size = patience, last_size

    def after_epoch(self) -> None:
        if self.is_skipped or self.dls.train.size != self.last_size:
            return
        if self.state.epochs - max(self.state.best_epoch, self.earlier) >= self.patience:
            self.state.stopped_early = True

    def before_epoch(self) -> None:
        if self.state.stopped_early:
            raise CancelFitException("no better score for a while")
