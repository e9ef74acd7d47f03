"""One trial of a sweep: a training run, and the scores of its last network.

A trial is scored by its last epoch's network: the best epoch would have been chosen on the validation photos. With
early stopping, the best epoch's predictions are stored too, to be judged on the test photos. Training and validation
are measured alike: in evaluation mode (no dropout), on photos as they are (no augmentation), with the plain
cross-entropy as loss (no label smoothing, no class weights).
"""

import bearcnn._torch  # noqa: F401

# isort: split
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException, CancelValidException
from numpy.typing import NDArray

from bearcnn.bodies import NO_BODY
from bearcnn.config import Config, DataConfig
from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import Split
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.metrics import score
from bearcnn.model.bodies import load_body
from bearcnn.model.network import BearCNN
from bearcnn.model.predict import predict_logits
from bearcnn.reporter import OnMaps, Reporter
from bearcnn.runs import EpochRecord, Run
from bearcnn.sweep.plan import Trial, digest_config
from bearcnn.sweep.trial_log import Record, Scores, TrialResult
from bearcnn.training.fit import fit_whole
from bearcnn.training.learner import build_learner, build_network, choose_device, unfreeze
from bearcnn.training.maps import Views, network_inputs, open_maps

METRICS = ("log_loss", "accuracy", "balanced_accuracy", "roc_auc", "average_precision")

BEST = "best-"
"""The beginning of the names of the best epoch's predictions, which a trial with `train.patience` has as well."""

TRAINING_PHOTOS = 2000
"""The most training photos that are scored after training, the same ones in every trial."""


class _Epochs(Reporter):
    """A reporter that passes on the number of finished epochs."""

    def __init__(self, on_epoch: Callable[[int], None]) -> None:
        self._on_epoch = on_epoch

    def epoch_done(self, record: EpochRecord) -> None:
        self._on_epoch(record.epoch)


def run_trial(
    trial: Trial,
    dataset: Dataset,
    folder: Path,
    on_epoch: Callable[[int], None] = lambda _: None,
    threads: int | None = None,
) -> TrialResult:
    """Train in `folder`, from its last checkpoint if a kill left one, and score the last epoch's network.

    `threads` is torch's number of threads; None leaves it unchanged. Every error but Ctrl-C becomes a failed result.
    """
    start = time.perf_counter()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        dataset = dataset.limit(trial.config.data.photos, trial.seed)
        run = Run(folder)
        result = fit_whole(run, trial.config, dataset, reporter=_Epochs(on_epoch))
        trained = time.perf_counter()
        state, network = result.state, result.learner.model
        scores: dict[str, Scores] = {}
        predictions: dict[str, NDArray[np.float32]] = {}
        inputs = network_inputs(network, dataset, trial.config)
        best_network = result.best_network(run, trial.config) if trial.config.train.patience else None
        for split, (rows, labels) in _splits(dataset).items():
            predictions[split] = _predict(network, inputs, rows)
            if split != "test":  # stored, not scored: only the chosen setting's test score is ever computed
                scores[split] = _score(labels, predictions[split])
            if best_network is not None:
                predictions[f"{BEST}{split}"] = _predict(best_network, inputs, rows)
        best = state.records[state.best_epoch - 1] if state.best_epoch else state.records[-1]
        scores["best"] = {name: getattr(best, name) for name in ("accuracy", "balanced_accuracy", "roc_auc")}
        scores["best"]["average_precision"] = best.average_precision
        seconds = sum(record.seconds for record in state.records) + time.perf_counter() - trained
        record = _record(trial, dataset, seconds, state.epochs, state.best_epoch, scores)
        return TrialResult(record, run.history_file.read_text(encoding="utf-8"), predictions)
    except Exception as error:  # a failed trial is a result and never ends the others
        kind = "" if isinstance(error, BearcnnError) else f"{type(error).__name__}: "
        reason = (kind + " ".join(str(error).split()))[:500]
        record = _record(trial, dataset, time.perf_counter() - start, 0, 0, {}, reason)
        return TrialResult(record, "", {}, traceback.format_exc())


def time_trial(config: Config, dataset: Dataset, seconds: float = 2.0) -> float:
    """Estimate a trial's seconds from a few real training steps after a warm-up and one batch of evaluation."""
    dataset = dataset.limit(config.data.photos, config.train.seed)
    network = build_network(config, dataset)
    train = config.train
    epoch, photo = _time_epoch(config, dataset, network, seconds)
    # An epoch's time is proportional to the pixels of its pictures.
    sizes = [config.training_size(number) / config.data.image_size for number in range(train.epochs)]
    total = epoch * sum(size**2 for size in sizes)
    if train.unfreeze:
        unfreeze(network, train.unfreeze)
        epoch, photo = _time_epoch(config, dataset, network, seconds)
        total += train.unfreeze_epochs * epoch
    return total + sum(len(rows) for rows, _ in _splits(dataset).values()) * photo


def _time_epoch(config: Config, dataset: Dataset, network: BearCNN, seconds: float) -> tuple[float, float]:
    """Estimate the seconds of an epoch at the last size, validation included, and of a photo's evaluation."""
    stopwatch = _Stopwatch(seconds)
    learner = build_learner(config, dataset, model=network, cbs=[stopwatch])
    learner.remove_cb(learner.seed_epoch)  # every step at the last size
    with learner.no_logging():
        learner.fit(1000)  # the stopwatch ends it
    rows, _ = dataset.arrays("valid")
    timed = rows[: 2 * config.train.batch_size]
    start = time.perf_counter()
    _predict(network, network_inputs(network, dataset, config), timed)
    photo = (time.perf_counter() - start) / len(timed)
    return len(learner.dls.train) * stopwatch.step + len(rows) * photo, photo


def prepare_maps(
    trials: Iterable[Trial], open_photos: Callable[[DataConfig], Dataset], on_progress: OnMaps = lambda *_: None
) -> None:
    """Compute the maps of pretrained bodies that the trials need and the cache lacks, once for all trials.

    Raises:
        DataError: the cache folder can't be written.
        MissingPackageError, ModelFileError: a body can't be loaded.
    """
    prepared = set()
    for trial in trials:
        model, data = trial.config.model, trial.config.data.with_all_photos
        views = Views.of(trial.config)
        wanted = (model.body, model.body_stage, data, views.count, views.key)
        if model.body == NO_BODY or wanted in prepared:
            continue
        prepared.add(wanted)
        body = load_body(model)
        assert body is not None
        open_maps(body.to(choose_device()), open_photos(data), data, on_progress, views=views)


def estimate_seconds(trials: Sequence[Trial], dataset: Dataset, threads: int) -> float:
    """Estimate the seconds of one of these trials with `threads` threads, from the first and the last setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, last = trials[0].config, trials[-1].config
        same = last.data.with_all_photos == first.data.with_all_photos
        other = dataset if same else Dataset.from_config(last.data)
        return (time_trial(first, dataset) + time_trial(last, other)) / 2
    finally:
        torch.set_num_threads(before)


def _splits(dataset: Dataset) -> dict[Split, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the rows and labels of each split that exists: the photos to predict after training."""
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
    """Choose positions of about `count` photos, classes in proportion, each at least once; always the same ones."""
    random = np.random.default_rng(0)
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        wanted = max(1, round(count * len(places) / len(labels)))
        chosen.append(random.choice(places, min(wanted, len(places)), replace=False))
    return np.sort(np.concatenate(chosen))


def _predict(
    network: BearCNN, inputs: NDArray[np.uint8] | NDArray[np.float16], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Predict the probability of a bear in some rows of the network's inputs: (photos,)."""
    logits = predict_logits(network, inputs, rows)
    return np.asarray(torch.from_numpy(logits).sigmoid().float())


def _score(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Scores:
    scores = score(labels, probabilities)
    return {name: scores[name] for name in METRICS}


def _record(
    trial: Trial,
    dataset: Dataset,
    seconds: float,
    epochs: int,
    best_epoch: int,
    scores: dict[str, Scores],
    reason: str = "",
) -> Record:
    return Record(
        id=trial.id,
        settings=trial.settings,
        seed=trial.seed,
        status="failed" if reason else "done",
        reason=reason,
        config=digest_config(trial.config),
        data=dataset.fingerprint,
        seconds=seconds,
        epochs=epochs,
        best_epoch=best_epoch,
        scores=scores,
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


class _Stopwatch(Callback):
    """The duration of a training step after the first ones; it ends the fit when enough are timed."""

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
