"""One trial of a sweep: a training like any other, and the scores of the network it ends with.

A trial is judged by its last epoch's network: nothing about it was chosen on the validation photos, as the best epoch
would be. Training and validation are measured alike: in evaluation mode (no dropout), on photos as they are (no
augmentation), with the plain cross-entropy as loss (no label smoothing, no class weights).
"""

import bearcnn._torch  # noqa: F401

# isort: split
import shutil
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException, CancelValidException
from numpy.typing import NDArray

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import Split
from bearcnn.errors import BearcnnError, ResumeError
from bearcnn.evaluation.metrics import score
from bearcnn.model.network import BearCNN, LayerRow, bear_logit
from bearcnn.runs import EpochRecord, Run, create_run
from bearcnn.sweep.folder import TrialResult
from bearcnn.sweep.plan import Trial, digest_config
from bearcnn.sweep.trial_log import Record, Scores
from bearcnn.training.callbacks import Progress, restore_last_weights
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.fit import build_learner, build_network, choose_device, lay_out, train

METRICS = ("log_loss", "accuracy", "balanced_accuracy", "roc_auc", "average_precision")

TRAINING_PHOTOS = 2000
"""At most so many training photos are looked at again after the training, the same ones in every trial."""


class _Epochs:
    """A training's watcher that passes on how many epochs are finished."""

    def __init__(self, on_epoch: Callable[[int], None]) -> None:
        self._on_epoch = on_epoch

    def model_built(self, layers: list[LayerRow]) -> None:
        pass

    def batch_done(self, done: int, total: int) -> None:
        pass

    def epoch_done(self, record: EpochRecord) -> None:
        self._on_epoch(record.epoch)

    def stage(self, what: str) -> None:
        pass


def run_trial(
    trial: Trial, dataset: Dataset, folder: Path, on_epoch: Callable[[int], None] = lambda _: None
) -> TrialResult:
    """Train in `folder`, from its last checkpoint if a kill left one, and score the last epoch's network.

    Whatever goes wrong becomes a failed result; only Ctrl-C goes through.
    """
    start = time.perf_counter()
    try:
        run, progress = _train(trial, dataset, folder, on_epoch)
        trained = time.perf_counter()
        network = lay_out(build_network(trial.config, dataset), choose_device())
        restore_last_weights(run, network)
        scores: dict[str, Scores] = {}
        predictions: dict[str, NDArray[np.float32]] = {}
        for split, (rows, labels) in _splits(dataset).items():
            predictions[split] = predict_rows(network, dataset, rows, labels, 2 * trial.config.train.batch_size)
            if split != "test":  # kept and not looked at: it is for the setting that will have been chosen
                scores[split] = _score(labels, predictions[split])
        best = progress.records[progress.best_epoch - 1] if progress.best_epoch else progress.records[-1]
        scores["best"] = {name: getattr(best, name) for name in ("accuracy", "balanced_accuracy", "roc_auc")}
        scores["best"]["average_precision"] = best.average_precision
        seconds = sum(record.seconds for record in progress.records) + time.perf_counter() - trained
        record = _record(trial, dataset, seconds, len(progress.records), progress.best_epoch, scores)
        return TrialResult(record, run.history_file.read_text(encoding="utf-8"), predictions)
    except Exception as error:  # a trial that fails is a result, and never the end of the others
        kind = "" if isinstance(error, BearcnnError) else f"{type(error).__name__}: "
        reason = (kind + " ".join(str(error).split()))[:500]
        record = _record(trial, dataset, time.perf_counter() - start, 0, 0, {}, reason)
        return TrialResult(record, "", {}, traceback.format_exc())


def predict_rows(
    network: BearCNN, dataset: Dataset, rows: NDArray[np.int64], labels: NDArray[np.int64], batch_size: int
) -> NDArray[np.float32]:
    """The probability of a bear in some rows of the pixels, in evaluation mode: (photos,)."""
    loader = PixelLoader(dataset.pixels, rows, labels, batch_size=batch_size, device=choose_device())
    with torch.inference_mode():
        logits = [bear_logit(network.eval()(pixels), network.output_classes) for pixels, _ in loader]
    probabilities: NDArray[np.float32] = torch.cat(logits).double().sigmoid().float().cpu().numpy()
    return probabilities


def time_trial(config: Config, dataset: Dataset, seconds: float = 2.0) -> float:
    """About how long a trial will take, in seconds: real training steps after a warm-up, and one pass of evaluation."""
    torch.manual_seed(config.train.seed)
    network = build_network(config, dataset)
    stopwatch = _Stopwatch(seconds)
    learner = build_learner(config, dataset, network, Progress(), [stopwatch], schedule=False)
    learner.fit(1000)  # the stopwatch ends it
    rows, labels = dataset.arrays("valid")
    batch = min(len(rows), 2 * config.train.batch_size)
    start = time.perf_counter()
    predict_rows(network, dataset, rows[:batch], labels[:batch], batch)
    photo = (time.perf_counter() - start) / batch
    photos = {split: len(found) for split, (found, _) in _splits(dataset).items()}
    steps = len(learner.dls.train)
    epoch = steps * stopwatch.step + photos["valid"] * photo
    # Epochs on smaller pictures take as much less time as these have fewer pixels.
    sizes = [config.training_size(number) / config.data.image_size for number in range(config.train.epochs)]
    return epoch * sum(size**2 for size in sizes) + sum(photos.values()) * photo


def estimate_seconds(trials: Sequence[Trial], dataset: Dataset, threads: int) -> float:
    """About how long one of these trials takes with so many threads, by timing the settings of the first and last."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, last = trials[0].config, trials[-1].config
        other = dataset if last.data == first.data else Dataset.from_config(last.data)
        return (time_trial(first, dataset) + time_trial(last, other)) / 2
    finally:
        torch.set_num_threads(before)


def _train(
    trial: Trial, dataset: Dataset, folder: Path, on_epoch: Callable[[int], None]
) -> tuple[Run, Progress]:  # fmt: skip
    run = Run(folder)
    watcher = _Epochs(on_epoch)
    if (run.checkpoints / "last.safetensors").is_file() and _is_same(run, trial):
        try:
            return run, train(run, dataset, watcher, resume=True, export=False).progress
        except ResumeError:
            pass  # killed in a bad moment: from the beginning, then
    shutil.rmtree(folder, ignore_errors=True)
    run = create_run(folder, trial.config)
    return run, train(run, dataset, watcher, export=False).progress


def _is_same(run: Run, trial: Trial) -> bool:
    try:
        return digest_config(run.config()) == digest_config(trial.config) and run.dataset_file.is_file()
    except BearcnnError:
        return False


def _splits(dataset: Dataset) -> dict[Split, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The photos that are predicted after a training: rows and labels of each split that exists."""
    splits: dict[Split, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for split in ("train", "valid", "test"):
        rows, labels = dataset.arrays(split)
        if split == "train" and len(rows) > TRAINING_PHOTOS:
            chosen = choose_evenly(labels, TRAINING_PHOTOS)
            rows, labels = rows[chosen], labels[chosen]
        if len(rows):
            splits[split] = rows, labels
    return splits


def choose_evenly(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Positions of about `count` photos, the classes in proportion and each at least once; always the same ones."""
    random = np.random.default_rng(0)
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        wanted = max(1, round(count * len(places) / len(labels)))
        chosen.append(random.choice(places, min(wanted, len(places)), replace=False))
    return np.sort(np.concatenate(chosen))


def _score(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Scores:
    scores = score(labels, probabilities)
    return {name: scores[name] for name in METRICS}


def _record(
    trial: Trial, dataset: Dataset, seconds: float, epochs: int, best_epoch: int, scores: dict[str, Scores],
    reason: str = "",
) -> Record:  # fmt: skip
    return Record(
        id=trial.id, settings=trial.settings, seed=trial.seed, status="failed" if reason else "done", reason=reason,
        config=digest_config(trial.config), data=dataset.fingerprint, seconds=seconds, epochs=epochs,
        best_epoch=best_epoch, scores=scores, threads=torch.get_num_threads(), host=socket.gethostname(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


class _Stopwatch(Callback):
    """Times training steps, all but the first ones, and then ends the training."""

    order = 60
    warm_up = 3

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.steps, self.step = seconds, 0, 0.0

    def after_batch(self) -> None:
        if not self.training:
            return
        now = time.perf_counter()
        self.steps += 1
        if self.steps == self.warm_up:
            self._start = now
        elif self.steps > self.warm_up and now - self._start > self.seconds:
            self.step = (now - self._start) / (self.steps - self.warm_up)
            raise CancelFitException("timed")

    def before_validate(self) -> None:
        raise CancelValidException("only the training steps are timed")
