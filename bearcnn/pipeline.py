"""The whole pipeline, top down: photos -> fit -> calibrate -> export -> score -> report, in one run folder.

With `train.folds`, cross-validation comes first: it gives the scores, and all its photos train the network that ships.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import BearcnnError, ConfigError, NoEpochError, ResumeError, RunError
from bearcnn.evaluation.assessment import assess_calibration, evaluate_predictions
from bearcnn.evaluation.calibration import fit_temperature, log_odds
from bearcnn.evaluation.groups import group_errors
from bearcnn.evaluation.predictions import SCORED, LabelledPrediction, as_arrays, in_split, read_folds
from bearcnn.evaluation.sites import site_errors
from bearcnn.export.base import calibrate, describe
from bearcnn.export.onnx import to_onnx
from bearcnn.export.safetensors import to_safetensors
from bearcnn.files import write_atomically
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.score import keep_predictions, point_at_bears
from bearcnn.inference.stamp import manifest_metrics
from bearcnn.latest import link_latest
from bearcnn.manifest import Manifest, stamp_onnx
from bearcnn.model.summary import describe_model
from bearcnn.report.page import write_report
from bearcnn.reporter import SILENT, Reporter
from bearcnn.runs import LayerRow, Run, choose_directory, create_run
from bearcnn.runs.lock import lock_folder
from bearcnn.training.fit import Callbacks, TrainResult, fit
from bearcnn.training.folds import cross_validate
from bearcnn.training.learner import choose_device
from bearcnn.training.replicas import ReplicaPool, choose_replicas
from bearcnn.training.world import World, join_world


def train(
    config: Config,
    dataset: Dataset,
    out: Path | str | None = None,
    *,
    cbs: Callbacks = (),
    reporter: Reporter = SILENT,
) -> Run:
    """Train, export, score and report a configuration, in a run folder of its own.

    Ctrl-C ends the training run at the last finished epoch and exports the best epoch so far.
    `Run.metrics()["complete"]` is then false, and `resume` continues the run.

    With `config.train.folds` the train and valid splits are cross-validated, and the network is trained on both; a test
    split stays out and has the scores that count. Ctrl-C then ends everything, for `resume` to continue.

    Where torchrun, Ray Train or `bearcnn train --devices` has started several processes of this program, they train
    one network, and each must make this call with the same arguments. Rank 0 alone writes and reports.

    Args:
        config: the network and how it is trained.
        dataset: photos with a train and a valid split, of `config.data.image_size`.
        out: the run folder; runs/<time>-<name> unless given.
        cbs: further fastai callbacks for the Learner, and for those of the folds.
        reporter: gets the progress; silent unless given.

    Raises:
        RunError: the folder isn't empty, the loss became infinite or not a number, or Ctrl-C came in the first epoch.
        RankLostError: another of the processes has ended, or hangs.
        ConfigError: `config.train.folds`, or too small a batch, with several processes.
        DataError: a class has fewer distinct photos than `config.train.folds`, or a process has other photos.
        KeyboardInterrupt: Ctrl-C, with `config.train.folds`.
    """
    with join_world() as world:
        check_world(world, config)
        dataset = dataset.for_training(config)
        # Decided once: the number of slices changes the weights, and `resume` must go on with it.
        config = config.model_copy(
            update={"train": config.train.model_copy(update={"replicas": _count_slices(world, config, cbs)})}
        )
        # A name that can't be written into the model file is found now and not after the last epoch.
        describe(config, dataset, 0, temperature=1.0).model_dump_json()
        chosen = Path(out) if out else None
        directory = world.share(lambda: choose_directory(config, datetime.now(), out=chosen))
        with _locked(world, directory):
            run = world.share(lambda: create_run(directory, config))
            world.share(lambda: run.write_dataset(dataset.to_json()))
            return _finish_in(world, run, dataset, False, cbs, reporter)


def resume(run: Run, dataset: Dataset, *, cbs: Callbacks = (), reporter: Reporter = SILENT) -> Run:
    """Continue an interrupted run; its weights become those of an uninterrupted run, bit for bit.

    A run that was ended before its first epoch was finished is started. One that is finished, but whose metrics.json is
    missing or damaged, is exported and scored again.
    In several processes it continues as `train` does; their number may be another than before, and the bits then are.

    Raises:
        ResumeError: the run is finished, its photos or configuration have changed, or its checkpoint can't be used.
        RunError: another process is training it.
        RunError, RankLostError, ConfigError: as in `train`.
    """
    with join_world() as world, _locked(world, run.directory):
        world.share(lambda: _check_resumable(run, dataset))
        check_world(world, world.share(run.config))
        return _finish_in(world, run, dataset, True, cbs, reporter)


@contextmanager
def _locked(world: World, directory: Path) -> Iterator[None]:
    """Lock a run's folder, by rank 0: two processes that train one run would mix their epochs."""
    held = (
        f"another process is training the run in {directory}; wait for it or stop it first (with Ctrl-C it keeps its "
        "finished epochs)"
    )
    with ExitStack() as stack:
        world.share(lambda: stack.enter_context(lock_folder(directory, held)))
        yield


def _check_resumable(run: Run, dataset: Dataset) -> None:
    run.check_unfinished()
    if not run.dataset_file.exists():  # killed between its first two files
        run.write_dataset(dataset.to_json())
    if run.dataset_record()["fingerprint"] != dataset.fingerprint:
        raise ResumeError(
            f"the photos in {dataset.root} have changed since {run.directory} was started, and it can't be continued "
            "to the same result; put them back or start a new run"
        )


def check_world(world: World, config: Config) -> None:
    """Check that several devices can train a configuration.

    Raises:
        ConfigError: they can't.
    """
    if world.size > 1 and config.train.folds:
        error = ConfigError("train.folds: cross-validation runs on one device; omit `folds` or the other devices")
        error.told = not world.leads
        raise error


def _count_slices(world: World, config: Config, cbs: Callbacks) -> int:
    if world.size > 1:
        return world.size
    return choose_replicas(config, choose_device(), cbs)


def _finish_in(world: World, run: Run, dataset: Dataset, resume: bool, cbs: Callbacks, reporter: Reporter) -> Run:
    """Train, and let rank 0 do the rest, while the others wait."""
    reporter = reporter if world.leads else SILENT
    world.check_photos(dataset.fingerprint, dataset.pixels.shape[1])
    with ReplicaPool() as pool:
        result = _fit(world, pool, run, dataset, resume, cbs, reporter)
    return world.share(lambda: finish(run, dataset, result, reporter))


def _fit(
    world: World, pool: ReplicaPool, run: Run, dataset: Dataset, resume: bool, cbs: Callbacks, reporter: Reporter
) -> TrainResult:
    if world.size > 1 or not run.config().train.folds:
        return fit(run, dataset, resume=resume, cbs=cbs, reporter=reporter, pool=pool, world=world)
    try:
        cross_validate(run, dataset, cbs=cbs, reporter=reporter, pool=pool)
        result = fit(run, dataset, resume=resume, cbs=cbs, reporter=reporter, pool=pool)
    except NoEpochError:  # finished folds are something to keep
        raise KeyboardInterrupt from None
    if result.interrupted:  # the scores of whole training runs say nothing about half a one
        raise KeyboardInterrupt
    return result


def finish(run: Run, dataset: Dataset, result: TrainResult, reporter: Reporter = SILENT) -> Run:
    """Export the kept epoch, score the exported file on the validation and test photos, and write the report.

    With `train.folds` the scores of the training photos, and the temperature, are those of cross-validation.
    """
    config = run.config()
    reporter.stage(f"exporting the network of epoch {result.state.best_epoch}")
    network = result.best_network(run, config)
    if config.train.folds:
        labels, probabilities = as_arrays(read_folds(run))
        temperature = fit_temperature(labels, log_odds(probabilities))
    else:
        temperature = calibrate(network, dataset, config)
    manifest = describe(config, dataset, result.state.best_epoch, temperature=temperature, body=network.body)
    run.metrics_file.unlink(missing_ok=True)  # those of a training run that was stopped are of another model
    write_atomically(run.onnx_file, to_onnx(network, manifest), overwrite=True)
    reporter.stage("evaluating the exported model")
    predictor = Predictor(run.onnx_file)
    predictions = keep_predictions(run, predictor, dataset)
    layers = describe_model(network, config.data.image_size)
    metrics = {
        "complete": not result.interrupted,
        **result.state.summary(config.train.monitor),
        **_measure(predictions, manifest),
        "layers": [asdict(row) for row in layers],
    }
    if dataset.describe_groups():
        assert dataset.grouping is not None
        metrics["grouping"] = {"by": dataset.grouping.by, **dataset.count_groups()}
    if config.train.folds:
        metrics["folds"] = config.train.folds
    if manifest.body:
        metrics["body"] = {**manifest.body, **_measure_body(layers)}
    split = dataset.evaluation_split()
    if split != "train" and (games := point_at_bears(predictor, dataset, split)):
        metrics["pointing_game"] = {which: asdict(game) for which, game in games.items()}
    # The model file carries its scores, for whoever gets a copy of it alone.
    manifest = manifest.model_copy(update={"metrics": manifest_metrics(metrics)})
    write_atomically(run.onnx_file, stamp_onnx(run.onnx_file, manifest), overwrite=True)
    write_atomically(run.weights_file, to_safetensors(network, manifest), overwrite=True)
    if not result.interrupted:
        _link_latest(run, reporter)  # before metrics.json: a finished run is linked, wherever a kill comes
    run.write_metrics(metrics)
    reporter.stage("writing the report")
    try:
        write_report(run)
    except BearcnnError as error:
        raise RunError(
            f"the run is finished, but not its page: {error}; then: bearcnn report {run.directory}"
        ) from None
    return run


def _link_latest(run: Run, reporter: Reporter) -> None:
    try:
        link_latest(run.directory)
    except BearcnnError as error:
        reporter.warn(f"the run is finished, but is not the newest one for other commands: {error}")


def _measure_body(layers: Sequence[LayerRow]) -> dict[str, Any]:
    """Count a body's parameters and multiply-adds, and their shares of the network's."""
    (body,) = [row for row in layers if row.name == "body"]
    return {
        "parameters": body.parameters,
        "multiply_adds": body.multiply_adds,
        "share_of_parameters": body.parameters / sum(row.parameters for row in layers),
        "share_of_multiply_adds": body.multiply_adds / sum(row.multiply_adds for row in layers),
    }


def _measure(predictions: Sequence[LabelledPrediction], manifest: Manifest) -> dict[str, Any]:
    """Measure every score of each split, its groups of photos, and the calibration."""
    splits = {split: photos for split in SCORED if (photos := in_split(predictions, split))}
    threshold = manifest.threshold
    sites = {name: [asdict(row) for row in site_errors(each, threshold)] for name, each in splits.items()}
    return {
        "evaluations": {name: evaluate_predictions(each, threshold).to_json() for name, each in splits.items()},
        "calibration": assess_calibration(predictions, manifest.temperature),
        "groups": {name: [asdict(row) for row in group_errors(each, threshold)] for name, each in splits.items()},
        **({"sites": sites} if any(sites.values()) else {}),
    }
