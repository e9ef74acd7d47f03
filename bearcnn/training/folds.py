"""Cross-validation: each photo is judged by a network that was trained on the other folds (Stone 1974).

A fold is a training run of its own in the run's folder, folds/1, folds/2 and so on. When it is finished, its answers to
its photos remain, and what only training needed is deleted.
"""

import shutil

import torch

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.data.regions import WHOLE_FRAMES
from bearcnn.data.splits import FOLDS
from bearcnn.errors import RunError
from bearcnn.evaluation.metrics import score
from bearcnn.evaluation.predictions import as_arrays, read_predictions, write_predictions
from bearcnn.inference.score import answer_best, label_predictions
from bearcnn.model.predict import logits_of, predict_logits
from bearcnn.model.threads import map_batches
from bearcnn.reporter import SILENT, Reporter
from bearcnn.runs import EpochRecord, Run
from bearcnn.training.fit import Callbacks, fit_whole
from bearcnn.training.maps import network_inputs
from bearcnn.training.replicas import ReplicaPool


def cross_validate(
    run: Run, dataset: Dataset, *, cbs: Callbacks = (), reporter: Reporter = SILENT, pool: ReplicaPool | None = None
) -> None:
    """Train a network for each fold of `train.folds` that isn't finished, and keep its answers to the fold's photos.

    `evaluation.predictions.read_folds` reads them. The networks differ from the run's own in their photos alone:
    configuration and seed are the same. A killed fold continues from its last epoch, to the same answers, bit for bit.

    Raises:
        DataError: a class has fewer distinct photos than there are folds.
        RunError: the loss became infinite or not a number.
        KeyboardInterrupt: Ctrl-C.
    """
    config = run.config()
    alone = config.model_copy(update={"train": config.train.model_copy(update={"folds": 0})})
    for number, part in enumerate(dataset.cut_folds(config.train.folds, config.data.split_seed), 1):
        fold = run.fold(number)
        if not _is_judged(fold, part):
            _judge(fold, alone, part, cbs, _FoldReporter(number, reporter), pool)
        labels, probabilities = as_arrays(read_predictions(fold))
        reporter.fold_done(number, score(labels, probabilities)["roc_auc"])


def _is_judged(fold: Run, dataset: Dataset) -> bool:
    """Check that a fold has whole answers to its photos; else it is trained again, to the same ones."""
    try:
        answered = [prediction.digest for prediction in read_predictions(fold)]
    except RunError:
        return False
    return answered == [example.digest for example in dataset.select("valid")]


class _FoldReporter(Reporter):
    """A reporter of a fold's training run that passes on how far it is."""

    def __init__(self, fold: int, reporter: Reporter) -> None:
        self._fold, self._reporter = fold, reporter

    def preparing(self, what: str, done: int, total: int) -> None:
        self._reporter.preparing(what, done, total)

    def epoch_done(self, record: EpochRecord) -> None:
        self._reporter.fold_epoch_done(self._fold, record.epoch)


def _judge(
    fold: Run, config: Config, dataset: Dataset, cbs: Callbacks, reporter: Reporter, pool: ReplicaPool | None
) -> None:
    """Train a fold's network, and write its answers to its validation photos."""
    result = fit_whole(fold, config, dataset, cbs=cbs, reporter=reporter, pool=pool)
    network = result.learner.model  # of the last epoch, which is the one that is kept
    photos = dataset.select("valid")
    if dataset.regions == WHOLE_FRAMES:
        rows, _ = dataset.arrays("valid")
        logits, areas = predict_logits(network, network_inputs(network, dataset, config), rows), None
    else:
        logits, areas = answer_best(logits_of(network), dataset, photos, config.data.resize, spread=map_batches)
    answers = torch.from_numpy(logits).sigmoid().tolist()
    write_predictions(fold, label_predictions(dataset, photos, FOLDS, answers, areas))
    fold.write_metrics({"complete": True, **result.state.summary(config.train.monitor), "evaluations": {}})
    shutil.rmtree(fold.checkpoints)
    fold.dataset_file.unlink(missing_ok=True)
