"""Cross-validation: the whole way, its resuming, and what its scores are of."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from bearcnn import pipeline
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.evaluation.calibration import apply_temperature
from bearcnn.evaluation.predictions import read_folds, read_predictions, validation_predictions
from bearcnn.export.run import export_run
from bearcnn.manifest import read_manifest
from bearcnn.report.comparison import compare_runs
from bearcnn.report.page import gather, render
from bearcnn.runs import Run
from bearcnn.training.learner import build_learner
from tests.helpers.training import Recorder, small_config, train_once, train_small

pytestmark = pytest.mark.slow  # trains


class FoldRecorder(Recorder):
    """Writes down the folds, and presses Ctrl-C after an epoch of one of them."""

    def __init__(self, stop_at: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.epochs: list[tuple[int, int]] = []
        self.folds: list[int] = []
        self.stop_at = stop_at

    def fold_epoch_done(self, fold, epoch):
        self.epochs.append((fold, epoch))
        if (fold, epoch) == self.stop_at:
            raise KeyboardInterrupt

    def fold_done(self, fold, roc_auc):
        self.folds.append(fold)


@pytest.fixture(scope="module")
def unsplit(photos, tmp_path_factory):
    """The photos of train and valid in class folders alone: 48 photos, no split given."""
    folder = tmp_path_factory.mktemp("unsplit")
    for split in ("train", "valid"):
        shutil.copytree(photos / split, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def config(unsplit):
    return small_config(unsplit, "train.folds=3")


@pytest.fixture(scope="module")
def validated(config, tmp_path_factory):
    return train_once(tmp_path_factory, "folds", config, FoldRecorder())


def test_each_photo_is_judged_once_by_a_network_that_was_not_trained_on_it(validated, config):
    run, dataset, reporter = validated
    predictions = read_predictions(run)
    assert {prediction.split for prediction in predictions} == {"folds"}
    paths = [example.path.relative_to(dataset.root).as_posix() for example in dataset.examples]
    assert [prediction.path for prediction in predictions] == paths
    assert reporter.folds == [1, 2, 3]
    assert reporter.epochs == [(fold, epoch) for fold in (1, 2, 3) for epoch in (1, 2)]
    # Trained again here on the other folds, fold 2's network gives the answers that were kept.
    part = dataset.for_training(config).cut_folds(3, 0)[1]
    learner = build_learner(config, part)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(2)
        answers, _ = learner.get_preds(ds_idx=1)
    kept = [prediction.probability for prediction in read_predictions(run.fold(2))]
    assert kept == pytest.approx(answers[:, 1].tolist(), abs=1e-6)  # in batches of another size


def test_the_model_is_trained_on_all_of_them(validated):
    run, dataset, reporter = validated
    splits = {example["split"] for example in run.dataset_record()["examples"]}
    assert splits == {"train"}
    assert reporter.batches[-1] == (len(dataset.examples) // 8,) * 2
    assert run.metrics()["best_epoch"] == 2


def test_the_folds_are_the_headline_everywhere(validated, tmp_path):
    run, dataset, _ = validated
    metrics, manifest = run.metrics(), read_manifest(run.onnx_file)
    assert (set(metrics["evaluations"]), metrics["folds"]) == ({"folds"}, 3)
    assert metrics["evaluations"]["folds"]["n"] == len(dataset.examples)
    assert manifest.metrics["evaluations"] == metrics["evaluations"]
    assert metrics["calibration"]["judged_on"] == "folds"
    kept = read_predictions(run)
    assert kept == read_folds(run, manifest.temperature) == validation_predictions(run)
    raw = [prediction.probability for prediction in read_folds(run)]
    assert [prediction.probability for prediction in kept] == pytest.approx(
        apply_temperature(raw, manifest.temperature)
    )
    page = render(gather(run))
    assert f"{len(dataset.examples)} cross-validated photos" in page
    assert "The scores are of networks made like the model" in page
    assert "nan" not in page.partition("<h2>Training</h2>")[2].partition("<h2>Scores</h2>")[0]
    assert compare_runs([run, run]).unshared == 0
    report = export_run(run, dataset.for_training(run.config()), "safetensors", tmp_path / "model.safetensors")
    assert (report.split, report.photos) == ("train", len(dataset.examples))


@pytest.mark.parametrize("stop_at", [(1, 1), (2, 1), (3, 2)])
def test_a_run_that_was_stopped_between_or_in_folds_continues_to_the_same_bits(
    validated, config, tmp_path, monkeypatch, stop_at
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_small(config, tmp_path / "run", FoldRecorder(stop_at))
    run, rest = Run(tmp_path / "run"), FoldRecorder()
    pipeline.resume(run, Dataset.from_record(run.dataset_record(), config.data), reporter=rest)
    assert rest.folds == [1, 2, 3], "a finished fold is told again"
    assert [epoch for epoch in rest.epochs if epoch <= stop_at] == [], "and not trained again"
    whole = validated[0]
    assert read_predictions(run) == read_predictions(whole)
    expected, found = load_file(whole.weights_file), load_file(run.weights_file)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_ctrl_c_in_the_first_epoch_of_the_model_loses_no_fold(config, tmp_path, monkeypatch):
    class StopInTheModel(FoldRecorder):
        def batch_done(self, done, total):
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_small(config, tmp_path / "run", StopInTheModel())
    run, rest = Run(tmp_path / "run"), FoldRecorder()
    pipeline.resume(run, Dataset.from_record(run.dataset_record(), config.data), reporter=rest)
    assert rest.epochs == []
    assert run.metrics()["complete"]


def test_a_test_part_of_the_data_sets_own_stays_the_judge(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, dataset, _ = train_small(small_config(photos, "train.folds=3"), tmp_path / "run")
    test = len(dataset.select("test"))
    assert test == 12
    evaluations = run.metrics()["evaluations"]
    assert {name: each["n"] for name, each in evaluations.items()} == {
        "folds": len(dataset.examples) - test,
        "test": test,
    }
    data = gather(run, thumbnails=False)
    assert data.assessment.split == "test"
    assert {prediction.split for prediction in data.validation} == {"folds"}, "the threshold is chosen on the others"
    assert run.metrics()["calibration"]["judged_on"] == "test"


def test_too_many_folds_are_an_error_before_anything_is_written(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config(photos, "train.folds=20", "data.photos=20")
    with pytest.raises(
        DataError, match=r"^20 folds need 20 different photos .* has 10: at most 10 folds are possible$"
    ):
        train_small(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_lost_predictions_are_rebuilt_from_the_folds(validated, tmp_path):
    from bearcnn.inference.predictor import Predictor
    from bearcnn.inference.score import keep_predictions

    run, dataset, _ = validated
    copy = Run(shutil.copytree(run.directory, tmp_path / "run"))
    copy.predictions_file.unlink()
    keep_predictions(copy, Predictor(copy.onnx_file), dataset.for_training(run.config()))
    assert copy.predictions_file.read_bytes() == run.predictions_file.read_bytes()
    json.loads(copy.predictions_file.read_text().splitlines()[0])
