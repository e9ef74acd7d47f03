"""fastai callbacks: seeds, scores, checkpoints, early stopping.

A resumed fit still calls `after_epoch` for the epochs that it skips (fastai issue 3780): callbacks at an epoch's end
check `is_skipped` first.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from fastai.callback.core import Callback, CancelFitException
from torch import Tensor

from bearcnn.config import LAST_EPOCH, Config, Monitor
from bearcnn.evaluation.metrics import score
from bearcnn.machine import seconds_without_core
from bearcnn.model.network import bear_logit
from bearcnn.runs import EpochRecord, Run
from bearcnn.training.checkpoint import TrainingState, write_checkpoint
from bearcnn.training.precision import scaler_state

CHECKED_TOGETHER = 100
"""Batches on a GPU whose losses are checked for infinity together."""


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


class CountBatches(Callback):
    """The number of batches done in an epoch, and its loss so far, reported to functions.

    Looking at a loss waits for a GPU: there, one of `CHECKED_TOGETHER` batches is looked at.
    """

    run_valid = False

    def __init__(self, on_batch: Callable[[int, int], None], on_loss: Callable[[float], None] | None = None) -> None:
        super().__init__()
        self.on_batch, self.on_loss = on_batch, on_loss

    def before_train(self) -> None:
        self._losses: list[float] = []
        self._every = 1 if self.dls.device.type == "cpu" else CHECKED_TOGETHER

    def after_batch(self) -> None:
        if self.on_loss is not None and (self.iter + 1) % self._every == 0:
            self._losses.append(float(self.replicas.class_loss))
            self.on_loss(sum(self._losses) / len(self._losses))
        self.on_batch(self.iter + 1, self.n_iter)


class EpochMetrics(_EpochCallback):
    """Losses, scores and speed of each epoch, appended to `state` as an EpochRecord.

    A loss that isn't finite ends the fit. Looking at it waits for the device: on a GPU, `CHECKED_TOGETHER` batches are
    looked at together, and the rest at the epoch's end, before anything of the epoch is kept.

    Args:
        state: the training run so far.
        monitor: the score that chooses the best epoch.
        check_every: number of batches whose loss is looked at together; depends on the device unless given.
    """

    order = 10

    def __init__(self, state: TrainingState, monitor: Monitor, check_every: int | None = None) -> None:
        super().__init__(state)
        self.monitor, self.check_every = monitor, check_every

    def before_train(self) -> None:
        self._start, self._waited = time.perf_counter(), seconds_without_core()
        self._losses: list[Tensor] = []
        self._finite: list[Tensor] = []
        self._photos = 0
        self._together = self.check_every or (1 if self.dls.device.type == "cpu" else CHECKED_TOGETHER)

    def after_train(self) -> None:
        self._check()  # also: a GPU has finished now
        self._trained = time.perf_counter()
        self._waited = seconds_without_core() - self._waited

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
            self._finite.append(torch.isfinite(self.loss))
            if len(self._finite) == self._together:
                self._check()
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
                busy=self._waited / (self._trained - self._start),
            )
        )

    def _check(self) -> None:
        if self._finite and not torch.stack(self._finite).all():
            raise CancelFitException("the loss is not a number")
        self._finite.clear()

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
        self.state.loss_scale = scaler_state(self.learn)
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
