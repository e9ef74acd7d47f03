"""What happens between batches: seeds, scores, history, checkpoints, early stopping.

Every callback here is given to the Learner by name. A resumed fit still calls `after_epoch` for the epochs it skips
(fastai issue 3780), so whatever acts on an epoch begins by asking `is_skipped`.
"""

import bearcnn._torch  # noqa: F401

# isort: split
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from fastai.callback.core import Callback, CancelFitException, CancelValidException
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bearcnn.config import Config, Monitor
from bearcnn.errors import ResumeError
from bearcnn.evaluation.metrics import score
from bearcnn.files import write_atomically
from bearcnn.model.network import bear_logit
from bearcnn.runs import EpochRecord, Run


@dataclass(slots=True)
class Progress:
    """What has been reached: kept in the checkpoint beside the weights, and so equal after resuming."""

    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    best_size: int = 0  # of the training pictures in the best epoch
    stopped_early: bool = False

    @property
    def epochs(self) -> int:
        """Epochs finished."""
        return len(self.records)


class _EpochCallback(Callback):
    @property
    def is_skipped(self) -> bool:
        """Whether this epoch was finished before the run was interrupted."""
        return bool(self.epoch < getattr(self.learn, "start_epoch", 0))


class PrepareEpoch(_EpochCallback):
    """Make everything random in an epoch a function of (seed, epoch): the loader's batches, and the dropout masks.

    And set the size of its pictures. Before the last size is reached, validation is no larger than training: it is
    there to be watched, and would take longer than the training.
    """

    order = -20

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def before_epoch(self) -> None:
        train, valid = self.dls.train, self.dls.valid
        train.epoch, train.size = self.epoch, self.config.training_size(self.epoch)
        last = train.size == self.config.training_size(self.config.train.epochs - 1)
        valid.size = self.config.data.image_size if last else train.size
        torch.manual_seed(self.config.train.seed * 1_000_003 + self.epoch)


class CountBatches(Callback):
    """Tell how far an epoch's training is."""

    run_valid = False

    def __init__(self, on_batch: Callable[[int, int], None]) -> None:
        super().__init__()
        self.on_batch = on_batch

    def after_batch(self) -> None:
        self.on_batch(self.iter + 1, self.n_iter)


class ScoreEpoch(_EpochCallback):
    """Losses, scores and speed of each epoch, appended to `progress` as an EpochRecord."""

    order = 10

    def __init__(self, progress: Progress, monitor: Monitor, on_epoch: Callable[[EpochRecord], None]) -> None:
        super().__init__()
        self.progress, self.monitor, self.on_epoch = progress, monitor, on_epoch

    def before_train(self) -> None:
        self._start = time.perf_counter()
        self._losses: list[Tensor] = []
        self._photos = 0

    def after_train(self) -> None:
        self._trained = time.perf_counter()

    def before_validate(self) -> None:
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def after_batch(self) -> None:
        if self.training:
            # Of the two classes, so that it can be compared with validation, whatever the training looks at.
            self._losses.append(self.loss_func(self.pred.detach(), self.yb[0]))
            self._photos += len(self.pred)
            if not torch.isfinite(self.loss):
                raise CancelFitException("the loss is not a number")
        else:
            self._logits.append(self.pred.detach())
            self._labels.append(self.yb[0])

    def after_epoch(self) -> None:
        if self.is_skipped:
            return
        logits, labels = torch.cat(self._logits).float(), torch.cat(self._labels)
        if not torch.isfinite(logits).all():
            raise CancelFitException("the network gives no numbers any more")
        probabilities = bear_logit(logits, self.loss_func.output_classes).double().sigmoid().cpu().numpy()
        scores = score(labels.cpu().numpy(), probabilities)
        valid_loss = float(self.loss_func(logits, labels))
        reached = -valid_loss if self.monitor == "valid_loss" else scores[self.monitor]
        size = self.dls.train.size
        # A network that has seen the pictures larger is the better one, though its first score may be lower.
        best = reached > self.progress.best_score or size > self.progress.best_size
        if best:
            self.progress.best_score, self.progress.best_epoch, self.progress.best_size = reached, self.epoch + 1, size
        now = time.perf_counter()
        self.progress.records.append(
            EpochRecord(
                epoch=self.epoch + 1,
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
            )
        )
        self.on_epoch(self.progress.records[-1])


class Checkpoint(_EpochCallback):
    """After each epoch: the best epoch's weights, and all that resuming needs, each in one safetensors file.

    No random state is kept: what is random in an epoch follows from its number alone (`PrepareEpoch`).
    """

    order = 20

    def __init__(self, run: Run, progress: Progress) -> None:
        super().__init__()
        self.run_folder, self.progress = run, progress

    def after_epoch(self) -> None:
        if self.is_skipped:
            return
        folder = self.run_folder.checkpoints
        folder.mkdir(exist_ok=True)
        weights = self.model.state_dict()
        if self.progress.records[-1].best:
            write_atomically(folder / "best.safetensors", save(_contiguous(weights)), overwrite=True)
        tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
        for index, state in self.opt.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        metadata = {"progress": json.dumps(asdict(self.progress))}
        write_atomically(folder / "last.safetensors", save(_contiguous(tensors), metadata), overwrite=True)
        self.run_folder.write_history(self.progress.records)


class StopEarly(_EpochCallback):
    """End the training after `patience` epochs without a better score at the last size of the pictures."""

    order = 15  # before the checkpoint, which has to know

    def __init__(self, progress: Progress, patience: int, last_size: int) -> None:
        super().__init__()
        self.progress, self.patience, self.last_size = progress, patience, last_size

    def after_epoch(self) -> None:
        if self.is_skipped or self.dls.train.size != self.last_size:
            return
        if self.progress.epochs - self.progress.best_epoch >= self.patience:
            self.progress.stopped_early = True

    def before_epoch(self) -> None:
        if self.progress.stopped_early:
            raise CancelFitException("no better score for a while")


class GrowingRate(Callback):
    """Let the learning rate grow from step to step, and stop when the loss explodes: a range test (Smith 2017).

    fastai's LRFinder would write a pickle of the model to go back to; here a fresh model is simply thrown away.
    """

    order = 60
    run_valid = False

    def __init__(self, lowest: float, highest: float, steps: int, on_step: Callable[[int, int], None]) -> None:
        super().__init__()
        self.lowest, self.highest, self.steps, self.on_step = lowest, highest, steps, on_step
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self._average = 0.0

    def before_batch(self) -> None:
        share = len(self.lrs) / (self.steps - 1)
        self.opt.set_hyper("lr", self.lowest * (self.highest / self.lowest) ** share)

    def after_batch(self) -> None:
        loss = float(self.loss.detach())
        if not math.isfinite(loss):
            raise CancelFitException("the loss is not a number")
        # fastai's smoothing: an exponential average, made fair to its first steps.
        self._average = 0.98 * self._average + 0.02 * loss
        self.lrs.append(float(self.opt.hypers[-1]["lr"]))
        self.losses.append(self._average / (1 - 0.98 ** len(self.lrs)))
        self.on_step(len(self.lrs), self.steps)
        if len(self.lrs) == self.steps or self.losses[-1] > 4 * min(self.losses):
            raise CancelFitException("the range is tried")

    def before_validate(self) -> None:
        raise CancelValidException("only training matters here")


def load_progress(run: Run) -> Progress:
    """What a run had reached at its last checkpoint.

    Raises:
        ResumeError: it has no checkpoint, or a damaged one.
    """
    path = run.checkpoints / "last.safetensors"
    if not path.is_file():
        raise ResumeError(f"{run.directory} has no checkpoint (no epoch was finished); start again with: bearcnn train")
    try:
        with safe_open(path, framework="pt") as file:
            fields: dict[str, Any] = json.loads(file.metadata()["progress"])
        fields["records"] = [EpochRecord(**record) for record in fields["records"]]
        return Progress(**fields)
    except Exception as error:
        # safetensors raises its own type for a damaged header; whatever it is, the file can't be trusted.
        raise ResumeError(f"{path} is damaged ({error}); this run can't be continued, start it again") from None


def restore(run: Run, model: torch.nn.Module, optimizer: Any) -> None:
    """Put a checkpoint's weights and optimizer state back, in place.

    Raises:
        ResumeError: the checkpoint doesn't fit the model.
    """
    tensors = load_file(run.checkpoints / "last.safetensors")
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    try:
        model.load_state_dict(weights)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        _lay_out_like_parameters(optimizer.opt)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ResumeError(f"the checkpoint in {run.checkpoints} doesn't fit the model: {error}") from None


def restore_last_weights(run: Run, model: torch.nn.Module) -> None:
    """Put the last epoch's weights, as they were validated, into a model of the same shape."""
    tensors = load_file(run.checkpoints / "last.safetensors")
    model.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")})


def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    # The fused optimizer steps through memory and expects a parameter and its averages in the same layout.
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(tensor)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors stores plain layouts only, and a channels-last model's weights are laid out channels-last.
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
