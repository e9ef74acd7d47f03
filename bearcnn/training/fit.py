"""Training of a configuration in its run folder, from the beginning or from the last checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastai.callback.core import Callback
from fastai.learner import Learner

from bearcnn.bodies import warn_of_licence
from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import RunError
from bearcnn.model.load import load_weights
from bearcnn.model.network import BearCNN, build_model
from bearcnn.model.summary import describe_model
from bearcnn.reporter import SILENT, Reporter
from bearcnn.runs import Run
from bearcnn.training.callbacks import CountBatches, EarlyStopping, EpochMetrics, SaveCheckpoint
from bearcnn.training.checkpoint import TrainingState, best_file, read_checkpoint
from bearcnn.training.learner import build_learner

Callbacks = Sequence[Callback]
"""Callbacks for a Learner besides its own."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The end of a training run: its state, and its Learner with the last epoch's network."""

    state: TrainingState
    interrupted: bool
    learner: Learner

    def best_network(self, run: Run, config: Config) -> BearCNN:
        """Load the network of the best epoch, in evaluation mode."""
        trained = self.learner.model
        network = build_model(config.model, trained.output_classes, body=trained.body).eval()
        load_weights(best_file(run), network)
        return network


def fit(
    run: Run,
    dataset: Dataset,
    *,
    resume: bool = False,
    cbs: Callbacks = (),
    reporter: Reporter = SILENT,
) -> TrainResult:
    """Train a run's configuration: one cycle (Smith 2018), with a checkpoint after each epoch.

    Ctrl-C ends the training run at the last finished epoch.

    Raises:
        ResumeError: the run can't be continued to the result of an uninterrupted run.
        RunError: the loss became infinite or not a number, or Ctrl-C came in the first epoch.
    """
    config = run.config()
    checkpoint = read_checkpoint(run) if resume else None
    state = checkpoint.state if checkpoint else TrainingState()
    learner = build_learner(config, dataset, cbs=cbs, on_maps=reporter.preparing)
    if learner.model.body is not None and (warning := warn_of_licence(learner.model.body.about["licence"])):
        reporter.warn(warning)
    reporter.model_built(describe_model(learner.model, config.data.image_size))
    if checkpoint:
        checkpoint.restore_model(learner.model)
        checkpoint.restore_optimizer(learner.opt)
    last_size = config.training_size(config.train.epochs - 1)
    callbacks = [
        CountBatches(reporter.batch_done),
        EpochMetrics(state, config.train.monitor),
        *([EarlyStopping(state, config.train.patience, last_size)] if config.train.patience else []),
        SaveCheckpoint(run, state, reporter.epoch_done),
    ]
    interrupted = False
    try:
        with learner.no_logging():
            learner.fit_one_cycle(config.train.epochs, cbs=callbacks, start_epoch=state.epochs)
    except KeyboardInterrupt:
        interrupted = True
        if state.epochs:
            state = read_checkpoint(run).state  # Ctrl-C may have come between an epoch and its checkpoint
    _check_reached(run, config, state, interrupted)
    return TrainResult(state, interrupted, learner)


def _check_reached(run: Run, config: Config, state: TrainingState, interrupted: bool) -> None:
    if interrupted and not state.epochs:
        raise RunError(f"stopped before the first epoch was finished: {run.directory} has nothing to keep; start again")
    if not interrupted and not state.stopped_early and state.epochs < config.train.epochs:
        raise RunError(
            f"the loss became infinite or not a number in epoch {state.epochs + 1}; train again with a lower train.lr "
            f"(it was {config.train.lr:g}; `bearcnn train --lr-find` suggests one)"
        )
