import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bearcnn.errors import BearcnnError, RunError
from bearcnn.evaluation.assessment import (
    PhotoScore,
    Rule,
    as_arrays,
    choose,
    group,
    in_split,
    is_grey,
    judge,
    judge_calibration,
    keep_scores,
    read_scores,
    save_threshold_of,
    score_photos,
    worst,
)
from bearcnn.evaluation.calibration import apply_temperature, fit_temperature
from bearcnn.evaluation.intervals import proportion
from bearcnn.evaluation.metrics import evaluate
from bearcnn.export.base import calibrate
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.manifest import read_manifest
from bearcnn.model.load import load_weights
from bearcnn.model.network import bear_logit, build_model
from bearcnn.runs import Run


@pytest.fixture
def own_run(trained, tmp_path: Path) -> Run:
    """A copy of the trained run that may be changed."""
    shutil.copytree(trained[0].directory, tmp_path / "run")
    return Run(tmp_path / "run")


def photo(label: int, probability: float, subclass: str = "x", *, path: str = "", grey: bool = False) -> PhotoScore:
    return PhotoScore(path or f"{label}-{probability}", "test", label, subclass, "", probability, grey)


def test_a_run_keeps_the_exported_models_answer_to_each_validation_and_test_photo(trained) -> None:
    run, dataset, _ = trained
    scores = read_scores(run)
    assert {score.split for score in scores} == {"valid", "test"}
    predictions = predict_photos(Predictor(run.onnx_file), [dataset.root / score.path for score in scores])
    assert [each.probability for each in predictions] == pytest.approx([s.probability for s in scores], abs=1e-6)
    assert [score.digest for score in in_split(scores, "test")] == [each.digest for each in dataset.select("test")]
    kept = evaluate(*as_arrays(in_split(scores, "test"))).to_json()
    assert run.metrics()["evaluations"]["test"] == json.loads(json.dumps(kept))


def test_the_temperature_is_fitted_on_validation_and_built_into_the_file(trained) -> None:
    run, dataset, _ = trained
    manifest = read_manifest(run.onnx_file)
    network = build_model(run.config().model, manifest.output_classes).eval()
    load_weights(run.weights_file, network)
    rows, labels = dataset.arrays("valid")
    with torch.no_grad():
        pixels = torch.from_numpy(np.asarray(dataset.pixels[rows])).permute(0, 3, 1, 2)
        logits = bear_logit(network(pixels), network.output_classes).double().numpy()
    assert manifest.temperature == pytest.approx(fit_temperature(labels, logits), rel=1e-6)
    assert manifest.temperature == calibrate(network, dataset) == read_manifest(run.weights_file).temperature
    shipped = as_arrays(in_split(read_scores(run), "valid"))[1]
    assert shipped == pytest.approx(1 / (1 + np.exp(-logits / manifest.temperature)), abs=1e-5)


def test_calibration_is_judged_on_test_photos_or_by_cross_fitting(trained) -> None:
    scores = read_scores(trained[0])
    found = judge_calibration(scores, 2.0)
    labels, after = as_arrays(in_split(scores, "test"))
    assert (found["judged_on"], found["cross_fitted"], found["photos"]) == ("test", False, len(labels))
    assert found["after"]["brier"] == pytest.approx(evaluate(labels, after).estimates["brier"].value)
    before = apply_temperature(after, 0.5)
    assert found["before"]["brier"] == pytest.approx(evaluate(labels, before).estimates["brier"].value)
    lone = judge_calibration(in_split(scores, "valid"), 2.0)
    assert (lone["judged_on"], lone["cross_fitted"]) == ("valid", True)


def test_a_saved_threshold_is_that_of_predict_and_of_the_scores(own_run: Run, trained) -> None:
    scores = read_scores(own_run)
    rule = Rule(threshold=0.123)
    save_threshold_of(own_run, judge(in_split(scores, "test"), "test", choose(rule, [], 0.5), rule, trained_on="test"))
    for file in (own_run.onnx_file, own_run.weights_file):
        manifest = read_manifest(file)
        assert manifest.threshold == 0.123
        assert manifest.metrics["evaluations"]["test"]["threshold"] == 0.123
    assert Predictor(own_run.onnx_file).manifest.classes == ("not_bear", "bear")
    labels = [each.label for each in predict_photos(Predictor(own_run.onnx_file), sample_of(trained[1]))]
    assert labels == [("not_bear", "bear")[score.probability >= 0.123] for score in scores[: len(labels)]]
    assert own_run.metrics()["choice"]["threshold"] == 0.123
    assert own_run.metrics()["complete"] is True


def sample_of(dataset) -> list[Path]:
    return [example.path for example in dataset.select("valid")][:4]


def test_a_threshold_changes_no_weight(own_run: Run, trained) -> None:
    from safetensors.numpy import load_file

    before = load_file(own_run.weights_file)
    rule = Rule(threshold=0.9)
    save_threshold_of(own_run, judge(read_scores(own_run), "valid", choose(rule, [], 0.5), rule, trained_on="valid"))
    after = load_file(own_run.weights_file)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_run_without_predictions_gets_them(own_run: Run, trained) -> None:
    kept = own_run.predictions_file.read_bytes()
    own_run.predictions_file.unlink()
    with pytest.raises(RunError, match="bearcnn evaluate"):
        read_scores(own_run)
    predictor = Predictor(own_run.onnx_file)
    keep_scores(own_run, predictor, trained[1], score_photos(predictor, trained[1], "test"))
    assert own_run.predictions_file.read_bytes() == kept
    own_run.predictions_file.write_text('{"path": 1}\n')
    with pytest.raises(RunError, match="damaged"):
        read_scores(own_run)


def test_groups_count_misses_of_bears_and_false_alarms_of_others() -> None:
    photos = [photo(1, 0.9, "brown"), photo(1, 0.1, "brown"), photo(0, 0.5, "boar"), photo(0, 0.2, "deer")]
    rows = {row.name: row for row in group(photos, 0.5)}
    assert (rows["brown"].wrong, rows["boar"].wrong, rows["deer"].wrong) == (1, 1, 0)
    assert rows["brown"].rate == proportion(1, 2)
    assert [row.name for row in group(photos, 0.5)] == ["brown", "boar", "deer"]
    night = [*photos, replace(photos[0], grey=True)]
    assert [(r.name, r.label, r.photos) for r in group(night, 0.5)][3:] == [
        ("in colour", 1, 2), ("grey (infrared?)", 1, 1), ("in colour", 0, 2),
    ]  # fmt: skip


def test_the_worst_mistakes_are_those_farthest_from_the_threshold_half_of_each_kind() -> None:
    missed = [photo(1, value) for value in (0.4, 0.1, 0.3, 0.2)]
    alarms = [photo(0, value) for value in (0.6, 0.9, 0.7)]
    right = [photo(1, 0.99), photo(0, 0.01)]
    found = worst([*missed, *alarms, *right], 0.5, most=4)
    assert [each.probability for each in found] == [0.1, 0.2, 0.9, 0.7]
    assert len(worst([*missed, *alarms, *right], 0.5, most=12)) == 7
    assert [each.probability for each in worst(missed, 0.5, most=3)] == [0.1, 0.2, 0.3]


def test_infrared_is_grey_and_a_coloured_date_line_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    grey = np.repeat(generator.integers(0, 250, (32, 32, 1)), 3, axis=2).astype(np.uint8)
    grey += generator.integers(0, 4, grey.shape).astype(np.uint8)  # JPEG's noise
    assert is_grey(grey)
    grey[:3] = (200, 120, 0)
    assert is_grey(grey)
    assert not is_grey(generator.integers(0, 250, (32, 32, 3)).astype(np.uint8))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(target_recall=0.9, threshold=0.1), "give one of"),
        (Rule(target_recall=98), "such as 0.98"),
        (Rule(max_false_alarms_per_day=3), "--photos-per-day"),
        (Rule(max_false_alarms_per_day=-1, photos_per_day=9), "0 or more"),
        (Rule(prevalence=2), "between 0 and 1"),
        (Rule(threshold=-0.1), "between 0 and 1"),
    ],
)
def test_rules_that_cant_be_meant_are_refused(rule: Rule, said: str) -> None:
    with pytest.raises(BearcnnError, match=said):
        rule.check()


def test_saving_needs_a_threshold() -> None:
    Rule(threshold=0.5).check(saving=True)
    with pytest.raises(BearcnnError, match="needs a threshold"):
        Rule().check(saving=True)


@pytest.mark.parametrize(
    ("rule", "trained_on", "said"),
    [
        (Rule(target_recall=0.98), "valid", "flatter"),
        (Rule(), "valid", "best epoch"),
        (Rule(), "train", "say nothing about others"),
        (Rule(target_recall=0.98), "test", "to prove 98% recall with no miss you need about 149 test bears"),
    ],
)
def test_it_says_what_the_numbers_cant(rule: Rule, trained_on: str, said: str) -> None:
    photos = [photo(1, 0.9), photo(1, 0.8), photo(0, 0.3)]
    found = judge(photos, "test", choose(rule, photos, 0.5), rule, trained_on=trained_on)
    assert any(said in note for note in found.notes)
    json.dumps(found.to_json(), allow_nan=False)


def test_photos_the_training_never_saw_need_no_remark() -> None:
    photos = [photo(1, 0.9), photo(0, 0.3)]
    assert judge(photos, "test", choose(Rule(), [], 0.5), Rule(), trained_on=None).notes == []
