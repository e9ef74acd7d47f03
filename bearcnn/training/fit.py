"""Training of a configuration in its run folder, from the beginning or from the last checkpoint."""

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from fastai.callback.core import Callback
from fastai.learner import Learner

from bearcnn.bodies import warn_of_licence
from bearcnn.config import MOVABLE, Config, changed_keys, make_config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import BearcnnError, NoEpochError, RankLostError, ResumeError, RunError
from bearcnn.model.bodies import load_body
from bearcnn.model.load import load_weights
from bearcnn.model.network import BearCNN, build_model
from bearcnn.model.summary import describe_model
from bearcnn.model.threads import keeping_threads
from bearcnn.reporter import SILENT, Reporter
from bearcnn.runs import Run, create_run
from bearcnn.training.callbacks import CountBatches, EarlyStopping, EpochMetrics, SaveCheckpoint
from bearcnn.training.checkpoint import Checkpoint, TrainingState, best_file, last_file, read_checkpoint
from bearcnn.training.distributed import Distributed
from bearcnn.training.learner import build_learner, build_network, choose_device, stage_rates, unfreeze
from bearcnn.training.precision import restore_scaler
from bearcnn.training.replicas import ReplicaPool, Replicas
from bearcnn.training.slices import Slices
from bearcnn.training.world import ALONE, World

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
        # Where the body has learned, its own weights are read again: the best epoch may be from before.
        body = trained.body if trained.body is None or not trained.body.fine_tuned else load_body(config.model)
        network = build_model(config.model, trained.output_classes, body=body).eval()
        if network.body is not None and self.state.best.unfrozen:
            network.body.mark_fine_tuned(self.state.best.unfrozen)
        load_weights(best_file(run), network)
        return network


def fit(
    run: Run,
    dataset: Dataset,
    *,
    resume: bool = False,
    cbs: Callbacks = (),
    reporter: Reporter = SILENT,
    pool: ReplicaPool | None = None,
    world: World = ALONE,
) -> TrainResult:
    """Train a run's configuration with `train.schedule`, and a checkpoint after each epoch.

    With `train.unfreeze` a second phase follows, in which the last stages of the body learn as well, as in fastai's
    `fine_tune`. Ctrl-C ends the training run at the last finished epoch. Replicas stay in `pool`, if there is one.
    In a `world` of several, each rank computes a slice of every batch; the run's folder is rank 0's alone.

    Raises:
        RankLostError: a rank has ended; `resume` continues from the last finished epoch.
        ResumeError: the run can't be continued to the result of an uninterrupted run.
        RunError: the loss became infinite or not a number, or Ctrl-C came in the first epoch.
        ConfigError: the body doesn't have so many stages to unfreeze.
    """
    with keeping_threads():
        return _fit(run, dataset, resume, cbs, reporter, pool, world)


def _fit(
    run: Run,
    dataset: Dataset,
    resume: bool,
    cbs: Callbacks,
    reporter: Reporter,
    pool: ReplicaPool | None,
    world: World,
) -> TrainResult:
    config = world.share(run.config)
    checkpoint = world.share(lambda: find_checkpoint(run, config)) if resume else None
    state = checkpoint.state if checkpoint else TrainingState()
    _compute_as_before(state, world, reporter)
    state.config = config.model_dump(mode="json")
    model = None
    if state.unfrozen:
        model = build_network(config, dataset)
        unfreeze(model, state.unfrozen)
    replicas: Callable[[], Slices] = partial(Distributed, world, config.train.seed)
    if world.size == 1:
        replicas = partial(Replicas, config, pool=pool, on_lost=reporter.warn)
    learner = build_learner(config, dataset, model=model, cbs=cbs, on_maps=reporter.preparing, replicas=replicas())
    if learner.model.body is not None and (warning := warn_of_licence(learner.model.body.about["licence"])):
        reporter.warn(warning)
    world.check_batches(learner.dls.train.bs)
    reporter.model_built(describe_model(learner.model, config.data.image_size))
    if checkpoint:
        checkpoint.restore_model(learner.model)
        checkpoint.restore_optimizer(learner.opt)
        restore_scaler(learner, state.loss_scale)
    interrupted = _fit_phase(run, config, state, learner, reporter, world)
    if config.train.unfreeze and not state.unfrozen and not interrupted:
        _check_reached(run, config, state, interrupted)
        unfreeze(learner.model, config.train.unfreeze)
        assert learner.model.body is not None
        reporter.stage(f"from now on {learner.model.body.about['fine_tuned']} of the body learn as well, from pixels")
        learner = build_learner(config, dataset, model=learner.model, cbs=cbs, replicas=replicas())
        state.unfrozen, state.stopped_early = config.train.unfreeze, False
        interrupted = _fit_phase(run, config, state, learner, reporter, world)
    if interrupted:  # perhaps between an epoch and its checkpoint
        state = world.share(lambda: read_checkpoint(run).state if last_file(run).is_file() else TrainingState())
    _check_reached(run, config, state, interrupted)
    return TrainResult(state, interrupted, learner)


def find_checkpoint(run: Run, config: Config) -> Checkpoint | None:
    """Read the checkpoint that a run goes on from; None where none of its epochs was finished.

    The history is written anew from it: a kill may have come between the two.

    Raises:
        ResumeError: it is missing or damaged, or the configuration has changed since.
    """
    results = (run.history_file, run.metrics_file, run.onnx_file, run.weights_file)
    if not last_file(run).exists() and not any(file.exists() for file in results):
        return None
    checkpoint = read_checkpoint(run)
    before = checkpoint.state.config
    changed = changed_keys(make_config(before), config, MOVABLE) if before else []
    if changed:
        raise ResumeError(
            f"{run.config_file} has changed since the last epoch: {', '.join(changed)}; put it back, or start a new "
            f"run with: bearcnn train --config {run.config_file}"
        )
    run.write_history(checkpoint.state.records)
    return checkpoint


def _compute_as_before(state: TrainingState, world: World, reporter: Reporter) -> None:
    """Compute with as many threads as the epochs so far, and warn of what else changes the bits of the weights."""
    if state.threads:
        torch.set_num_threads(state.threads)
    state.threads = torch.get_num_threads()
    device = choose_device()
    chip = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    now = f"torch {torch.__version__} ({sys.platform}, {chip})"
    differences = []
    if state.epochs and state.devices != world.size:
        differences.append((_devices(state.devices), _devices(world.size), "on"))
    if state.epochs and state.computed_with not in ("", now):
        differences.append((state.computed_with, now, "with"))
    for before, after, word in differences:
        reporter.warn(
            f"this run's epochs were computed {word} {before}, and now {word} {after}: its weights will differ from "
            "those of an uninterrupted run"
        )
    state.devices, state.computed_with = world.size, now


def fit_whole(
    run: Run,
    config: Config,
    dataset: Dataset,
    *,
    cbs: Callbacks = (),
    reporter: Reporter = SILENT,
    pool: ReplicaPool | None = None,
) -> TrainResult:
    """Train a configuration in a folder of its own to its end, from the checkpoint that a kill may have left there.

    Raises:
        KeyboardInterrupt: Ctrl-C; the next call goes on.
        RunError, ConfigError: as in `fit`.
    """
    result = None
    if last_file(run).is_file() and _is_of(run, config):
        with suppress(ResumeError):  # killed between two files: start again
            result = fit(run, dataset, resume=True, cbs=cbs, reporter=reporter, pool=pool)
    if result is None:
        shutil.rmtree(run.directory, ignore_errors=True)
        create_run(run.directory, config).write_dataset(dataset.to_json())
        result = fit(run, dataset, cbs=cbs, reporter=reporter, pool=pool)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _is_of(run: Run, config: Config) -> bool:
    try:
        return run.config() == config
    except BearcnnError:
        return False


def _fit_phase(
    run: Run, config: Config, state: TrainingState, learner: Learner, reporter: Reporter, world: World
) -> bool:
    """Train the epochs of the phase that `state` is in, from the first unfinished one; return whether Ctrl-C came."""
    settings = config.train
    last_size = config.training_size(settings.epochs - 1)
    callbacks = [
        CountBatches(reporter.batch_done, reporter.running_loss),
        EpochMetrics(state, settings.monitor),
        *([EarlyStopping(state, settings.patience, last_size)] if settings.patience else []),
        *([SaveCheckpoint(run, state, reporter.epoch_done)] if world.leads else []),
    ]
    try:
        with learner.no_logging():
            if state.unfrozen:
                rates = stage_rates(settings.unfreeze_lr, state.unfrozen)
                # Trained weights need less of a warm-up: fastai's numbers in `fine_tune`.
                learner.fit_one_cycle(
                    settings.unfreeze_epochs,
                    rates,
                    div=5.0,
                    pct_start=0.3,
                    cbs=callbacks,
                    start_epoch=state.phase_epochs,
                )
            else:
                fit = learner.fit if settings.schedule == "constant" else learner.fit_one_cycle
                fit(settings.epochs, cbs=callbacks, start_epoch=state.epochs)
    except KeyboardInterrupt:
        return True
    except RankLostError as error:
        error.add_where(run.directory, bool(state.epochs))
        raise
    finally:
        learner.replicas.close()
    return False


def _devices(count: int) -> str:
    return "one device" if count == 1 else f"{count} devices"


def _check_reached(run: Run, config: Config, state: TrainingState, interrupted: bool) -> None:
    if interrupted and not state.epochs:
        raise NoEpochError(
            f"stopped before the first epoch was finished; start it with: bearcnn train --resume {run.directory}"
        )
    key = "unfreeze_lr" if state.unfrozen else "lr"
    epochs = config.train.unfreeze_epochs if state.unfrozen else config.train.epochs
    if not interrupted and not state.stopped_early and state.phase_epochs < epochs:
        suggests = "" if state.unfrozen else "; `bearcnn train --lr-find` suggests one"
        raise RunError(
            f"the loss became infinite or not a number in epoch {state.epochs + 1}; train again with a lower "
            f"train.{key} (it was {getattr(config.train, key):g}{suggests})"
        )
