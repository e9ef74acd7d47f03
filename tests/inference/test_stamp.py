import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from bearcnn.errors import ModelFileError
from bearcnn.evaluation.assessment import ThresholdPolicy, assess, choose_threshold, choose_unsure
from bearcnn.evaluation.predictions import in_split, read_predictions
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.stamp import save_threshold
from bearcnn.manifest import read_manifest
from bearcnn.report.page import write_report
from bearcnn.runs import Run


@pytest.fixture
def own_run(trained, tmp_path: Path) -> Run:
    """A copy of the trained run that may be changed."""
    shutil.copytree(trained[0].directory, tmp_path / "run")
    return Run(tmp_path / "run")


def test_a_saved_threshold_is_that_of_predict_and_of_the_scores(own_run: Run, trained) -> None:
    kept = read_predictions(own_run)
    policy = ThresholdPolicy(threshold=0.123)
    save_threshold(
        own_run, assess(in_split(kept, "test"), "test", choose_threshold(policy, [], 0.5), policy, trained_on="test")
    )
    for file in (own_run.onnx_file, own_run.weights_file):
        manifest = read_manifest(file)
        assert manifest.threshold == 0.123
        assert manifest.metrics["evaluations"]["test"]["threshold"] == 0.123
    assert Predictor(own_run.onnx_file).manifest.classes == ("not_bear", "bear")
    labels = [answer.label for answer in predict_photos(Predictor(own_run.onnx_file), sample_of(trained[1]))]
    assert labels == [("not_bear", "bear")[each.probability >= 0.123] for each in kept[: len(labels)]]
    assert own_run.metrics()["choice"]["threshold"] == 0.123
    assert own_run.metrics()["complete"] is True


def sample_of(dataset) -> list[Path]:
    return [example.path for example in dataset.select("valid")][:4]


def test_a_threshold_changes_no_weight(own_run: Run, trained) -> None:
    before = load_file(own_run.weights_file)
    policy = ThresholdPolicy(threshold=0.9)
    save_threshold(
        own_run,
        assess(read_predictions(own_run), "valid", choose_threshold(policy, [], 0.5), policy, trained_on="valid"),
    )
    after = load_file(own_run.weights_file)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_two_thresholds_are_saved_and_go_with_the_next_single_one(own_run: Run) -> None:
    kept = in_split(read_predictions(own_run), "valid")
    policy = ThresholdPolicy(target_recall=0.9, target_precision=0.9, prevalence=0.1)
    choice = choose_threshold(policy, kept, 0.5)
    two = choose_unsure(policy, kept, choice)
    assert two is not None
    save_threshold(own_run, assess(kept, "valid", choice, policy, trained_on="valid", unsure=two))
    for file in (own_run.onnx_file, own_run.weights_file):
        assert (read_manifest(file).threshold, read_manifest(file).unsure) == (two.lower, (two.lower, two.upper))
    assert own_run.metrics()["unsure"]["wanted"] == 0.9
    write_report(own_run)
    one = ThresholdPolicy(threshold=0.4)
    save_threshold(own_run, assess(kept, "valid", choose_threshold(one, [], 0.5), one, trained_on="valid"))
    assert (read_manifest(own_run.onnx_file).threshold, read_manifest(own_run.onnx_file).unsure) == (0.4, None)
    assert "unsure" not in own_run.metrics()


def test_a_damaged_model_file_leaves_the_run_as_it_was(own_run: Run) -> None:
    own_run.weights_file.write_bytes(own_run.weights_file.read_bytes()[:-8])
    before = {file: file.read_bytes() for file in own_run.directory.rglob("*") if file.is_file()}
    policy = ThresholdPolicy(threshold=0.2)
    found = assess(read_predictions(own_run), "valid", choose_threshold(policy, [], 0.5), policy, trained_on=None)
    with pytest.raises(ModelFileError, match="damaged"):
        save_threshold(own_run, found)
    assert {file: file.read_bytes() for file in own_run.directory.rglob("*") if file.is_file()} == before


@pytest.mark.slow  # starts processes
def test_saving_a_threshold_from_the_command_line_loads_no_torch(own_run: Run) -> None:
    code = (
        "import sys\n"
        "from bearcnn.cli.app import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    arguments = ["evaluate", own_run.directory, "--threshold", "0.4", "--save-threshold", "--json"]
    result = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    heavy = {"torch", "torchvision", "fastai", "matplotlib", "pandas", "scipy", "sklearn"}
    assert not heavy & set(result.stderr.split())
    assert read_manifest(own_run.onnx_file).threshold == 0.4
