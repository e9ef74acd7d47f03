"""Config -> finished run folder; resume. `train` reads from top to bottom what a training is."""

import bearcnn._torch

# isort: split
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol

import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.schedule import ParamScheduler, combined_cos, valley
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from numpy.typing import NDArray
from torch import nn

from bearcnn.config import Config, Precision, TrainConfig
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import Split
from bearcnn.errors import ResumeError, RunError
from bearcnn.evaluation.assessment import (
    JUDGED,
    as_arrays,
    for_manifest,
    group,
    in_split,
    judge_calibration,
    score_photos,
    write_scores,
)
from bearcnn.evaluation.calibration import fit_temperature
from bearcnn.evaluation.localization import measure_window_hits
from bearcnn.evaluation.metrics import Evaluation, evaluate
from bearcnn.export.run import to_onnx, to_safetensors
from bearcnn.files import write_atomically
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import Manifest, stamp_onnx
from bearcnn.model.network import BearCNN, LayerRow, bear_logit, build_model, describe_model, load_weights
from bearcnn.report.page import write_report
from bearcnn.runs import EpochRecord, Run, link_latest
from bearcnn.training.callbacks import (
    Checkpoint,
    CountBatches,
    GrowingRate,
    PrepareEpoch,
    Progress,
    ScoreEpoch,
    StopEarly,
    load_progress,
    restore,
)
from bearcnn.training.dataloaders import build_loaders
from bearcnn.training.losses import SubclassCrossEntropy


class Watcher(Protocol):
    """Who is told how a training goes; the console is one."""

    def model_built(self, layers: list[LayerRow]) -> None:
        """The network is ready to be trained."""

    def batch_done(self, done: int, total: int) -> None:
        """So many of an epoch's batches are done."""

    def epoch_done(self, record: EpochRecord) -> None:
        """An epoch is finished."""

    def stage(self, what: str) -> None:
        """Something else begins that takes a moment."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to."""

    progress: Progress
    interrupted: bool
    evaluations: dict[Split, Evaluation]  # of the exported model, by split


def train(run: Run, dataset: Dataset, watcher: Watcher, *, resume: bool = False, export: bool = True) -> Outcome:
    """Train a run's configuration, keep the best epoch, export it, and judge what was exported.

    Ctrl-C ends it after the last finished epoch, with a model made of the best so far. Without `export` (a trial of a
    sweep) all ends with the last epoch's checkpoint, and Ctrl-C is KeyboardInterrupt.

    Raises:
        ResumeError: `resume` was asked for and can't give what an uninterrupted run would have given.
        RunError: the training went astray, or was interrupted before there was anything to keep.
    """
    config = run.config()
    _write_dataset(run, dataset, resume)
    progress = load_progress(run) if resume else Progress()
    torch.manual_seed(config.train.seed)
    network = build_network(config, dataset)
    watcher.model_built(describe_model(network, config.data.image_size))
    callbacks = [
        PrepareEpoch(config),
        CountBatches(watcher.batch_done),
        ScoreEpoch(progress, config.train.monitor, watcher.epoch_done),
        Checkpoint(run, progress),
    ]
    learner = build_learner(config, dataset, network, progress, callbacks)
    if resume:
        restore(run, network, learner.opt)
    interrupted = _fit(learner, config, progress)
    if interrupted and not export:
        raise KeyboardInterrupt
    if interrupted and progress.epochs:
        progress = load_progress(run)  # what is on disk: Ctrl-C may have come between an epoch and its checkpoint
    _check_reached(run, config, progress, interrupted)
    if not export:
        return Outcome(progress, interrupted, {})
    best = build_model(config.model, network.output_classes).eval()
    load_weights(run.checkpoints / "best.safetensors", best)
    evaluations = _finish(run, config, dataset, best, progress, not interrupted, watcher)
    return Outcome(progress, interrupted, evaluations)


def build_learner(
    config: Config,
    dataset: Dataset,
    model: BearCNN,
    progress: Progress,
    callbacks: list[Callback],
    *,
    schedule: bool = True,
) -> Learner:
    """fastai's Learner with nothing global in it: only the callbacks named here; one cycle unless `schedule` is off."""
    device = choose_device()
    settings = config.train
    model = lay_out(model, device)
    if computes_in_bfloat16(settings.precision, device):
        # The blocks alone: they are nearly all of the work, and what is left stays exact.
        blocks = torch.autocast(device.type, torch.bfloat16)(model.blocks.forward)
        model.blocks.forward = blocks  # type: ignore[method-assign]
    _, labels = dataset.arrays("train")
    weights = _class_weights(labels, settings)
    callbacks = [TrainEvalCallback(), *callbacks]
    if schedule:
        # Smith 2018, with fastai's shape: a quarter of the way up, the rest down.
        lr = combined_cos(0.25, settings.lr / 25, settings.lr, settings.lr / 1e5)
        callbacks.append(ParamScheduler({"lr": lr, "mom": combined_cos(0.25, 0.95, 0.85, 0.95)}))
    if settings.patience:
        callbacks.append(StopEarly(progress, settings.patience, config.training_size(settings.epochs - 1)))
    learner = Learner(
        build_loaders(config, dataset, device),
        model,
        loss_func=SubclassCrossEntropy(model.output_classes, weights, settings.label_smoothing).to(device),
        opt_func=lambda _, lr: build_optimizer(model, lr, settings.weight_decay),
        lr=settings.lr,
        default_cbs=False,
        cbs=callbacks,
    )
    learner.create_opt()
    return learner


def computes_in_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether the blocks train in bfloat16: 1.7 to 2.5 times as fast on a processor that has it, slower without."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))


def build_network(config: Config, dataset: Dataset) -> BearCNN:
    """The configured network with fresh weights, and with the outputs that the photos ask for."""
    output_classes = [label for label, _ in dataset.subclasses()[0]] if config.train.subclasses else [0, 1]
    return build_model(config.model, output_classes)


def choose_device() -> torch.device:
    """The GPU that torch finds, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def lay_out(model: BearCNN, device: torch.device) -> BearCNN:
    """A network on its device, channels last."""
    # Convolutions are faster when a pixel's channels lie side by side (163 to 219 images/s at 128 px).
    model = model.to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
    return model


def build_optimizer(model: nn.Module, lr: float, weight_decay: float) -> OptimWrapper:
    """AdamW, fused: one pass over all weights a step. Norms and biases are not decayed: that would only shift them."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return OptimWrapper(opt=torch.optim.AdamW(groups, lr=lr, fused=True))


def _class_weights(labels: NDArray[np.int64], settings: TrainConfig) -> torch.Tensor:
    """How much a photo of each class counts in the loss: (2,), 1 on average over the photos."""
    if settings.balance != "weights":
        return torch.ones(2)
    counts = np.bincount(labels, minlength=2)
    return torch.tensor(len(labels) / (2 * counts), dtype=torch.float32)


def _fit(learner: Learner, config: Config, progress: Progress) -> bool:
    """Run the epochs that are left; True if Ctrl-C ended it."""
    learner.start_epoch = progress.epochs
    try:
        learner.fit(config.train.epochs, start_epoch=progress.epochs)
    except KeyboardInterrupt:
        return True
    return False


def _check_reached(run: Run, config: Config, progress: Progress, interrupted: bool) -> None:
    if interrupted and not progress.epochs:
        raise RunError(f"stopped before the first epoch was finished: there is nothing to keep in {run.directory}")
    if not interrupted and not progress.stopped_early and progress.epochs < config.train.epochs:
        raise RunError(
            f"the loss became infinite or not a number in epoch {progress.epochs + 1}; train again with a lower --lr "
            f"(it was {config.train.lr:g}; `bearcnn train --lr-find` suggests one)"
        )


def _write_dataset(run: Run, dataset: Dataset, resume: bool) -> None:
    if not resume:
        write_atomically(run.dataset_file, json.dumps(dataset.to_json(), indent=1).encode())
        return
    if run.metrics_file.is_file() and json.loads(run.metrics_file.read_text(encoding="utf-8"))["complete"]:
        raise ResumeError(f"{run.directory} is finished; for a longer training start a new one with a larger --epochs")
    before = json.loads(run.dataset_file.read_text(encoding="utf-8"))["fingerprint"]
    if before != dataset.fingerprint:
        raise ResumeError(
            f"the photos in {dataset.root} have changed since {run.directory} was started, so it can't be continued "
            "to the same result; put them back or start a new training"
        )


def _finish(
    run: Run, config: Config, dataset: Dataset, network: BearCNN, progress: Progress, complete: bool, watcher: Watcher
) -> dict[Split, Evaluation]:
    """Export the best epoch, judge what was exported, and write down both."""
    watcher.stage("exporting the best epoch")
    manifest = build_manifest(config, dataset, progress)
    manifest = manifest.model_copy(update={"temperature": calibrate(network, dataset)})
    write_atomically(run.onnx_file, to_onnx(network, manifest), overwrite=True)
    watcher.stage("evaluating the exported model")
    predictor = Predictor(run.onnx_file)
    scores = [score for split in JUDGED for score in score_photos(predictor, dataset, split)]
    write_scores(run, scores)
    by_split = {split: photos for split in JUDGED if (photos := in_split(scores, split))}
    evaluations = {
        split: evaluate(*as_arrays(photos), threshold=manifest.threshold) for split, photos in by_split.items()
    }
    metrics = {
        "complete": complete,
        "epochs": progress.epochs,
        "best_epoch": progress.best_epoch,
        "monitor": config.train.monitor,
        "seconds": sum(record.seconds for record in progress.records),
        "evaluations": {split: evaluation.to_json() for split, evaluation in evaluations.items()},
        "calibration": judge_calibration(scores, manifest.temperature),
        "groups": {
            split: [asdict(row) for row in group(photos, manifest.threshold)] for split, photos in by_split.items()
        },
        "layers": [asdict(row) for row in describe_model(network, config.data.image_size)],
    }
    if hits := measure_window_hits(predictor, dataset, dataset.evaluation_split()):
        metrics["window_hits"] = {which: asdict(counted) for which, counted in hits.items()}
    # The model file carries its own scores: a copy of it alone says how far to trust it.
    manifest = manifest.model_copy(update={"metrics": for_manifest(metrics)})
    write_atomically(run.onnx_file, stamp_onnx(run.onnx_file, manifest), overwrite=True)
    write_atomically(run.weights_file, to_safetensors(network, manifest), overwrite=True)
    write_atomically(run.metrics_file, json.dumps(metrics, indent=1).encode(), overwrite=True)
    watcher.stage("writing the report")
    write_report(run)
    if complete:
        link_latest(run)
    return evaluations


def calibrate(network: BearCNN, dataset: Dataset) -> float:
    """The temperature of a network in evaluation mode, fitted on the validation photos (Guo et al. 2017)."""
    rows, labels = dataset.arrays("valid")
    logits = []
    with torch.no_grad():
        for batch in np.array_split(rows, max(1, len(rows) // 64)):
            pixels = torch.from_numpy(np.asarray(dataset.pixels[batch])).permute(0, 3, 1, 2)
            logits.append(bear_logit(network(pixels), network.output_classes).double().numpy())
    return fit_temperature(labels, np.concatenate(logits))


def build_manifest(config: Config, dataset: Dataset, progress: Progress) -> Manifest:
    """What the model file will say about itself, before its scores are known."""
    return Manifest(
        name=config.train.name,
        classes=dataset.classes,
        image_size=config.data.image_size,
        resize=config.data.resize,
        subclasses=dataset.subclasses()[0] if config.train.subclasses else ((0, ""), (1, "")),
        config=config.model_dump(mode="json"),
        data={"fingerprint": dataset.fingerprint, "counts": dataset.counts(), "best_epoch": progress.best_epoch},
        versions={
            "bearcnn": bearcnn.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "fastai", "onnx", "numpy", "pillow")},
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@dataclass(frozen=True, slots=True)
class LearningRates:
    """A learning-rate range test (Smith 2017): the loss while the rate grows, and the rate it suggests."""

    lrs: list[float]
    losses: list[float]  # smoothed
    suggestion: float


def find_lr(config: Config, dataset: Dataset, on_batch: Callable[[int, int], None], steps: int = 100) -> LearningRates:
    """Train a fresh network for some steps at ever higher rates until the loss explodes; nothing is kept of it.

    The suggestion is fastai's "valley": inside the longest stretch in which the loss falls.
    """
    torch.manual_seed(config.train.seed)
    model = build_network(config, dataset)
    growth = GrowingRate(1e-6, 3.0, steps, on_batch)
    learner = build_learner(config, dataset, model, Progress(), [growth], schedule=False)
    learner.fit(steps)  # as many epochs as could be needed; GrowingRate ends it
    suggestion, _ = valley(growth.lrs, growth.losses, len(growth.lrs))
    return LearningRates(growth.lrs, growth.losses, float(f"{suggestion:.2g}"))
