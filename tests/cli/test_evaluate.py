import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bearcnn.cli.evaluate import SPLITS
from bearcnn.cli.evaluate_steps import next_command
from bearcnn.data import splits
from bearcnn.evaluation.assessment import Assessment, ThresholdPolicy, assess, choose_threshold
from bearcnn.evaluation.formats import percent
from bearcnn.evaluation.predictions import LabelledPrediction
from bearcnn.runs import Run
from tests.helpers.commands import bearcnn_command, some_photos

pytestmark = pytest.mark.slow


def test_evaluate_answers_in_seven_lines_of_80_columns(work):
    lines = bearcnn_command("evaluate", cwd=work).stdout.splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    for line, begins in zip(
        lines,
        (
            "Can't tell yet. It finds ",
            "False alarms on ",
            "In use, of 1,000 photos per day, 50% with a bear: ",
            "Weakest kinds: ",
            "AUC ",
            "On 12 test photos at threshold 0.5, the default.",
            "Next: bearcnn ",
        ),
        strict=True,
    ):
        assert line.startswith(begins)
    calibration = json.loads((work / "run" / "metrics.json").read_text())["calibration"]["after"]["calibration_error"]
    assert lines[4].endswith(f"calibration error {percent(calibration)}.")


def test_evaluate_shows_every_score_with_its_interval_on_demand(work, command):
    lines = command("evaluate", cwd=work).stdout.splitlines()
    shown = command("evaluate", "--all", cwd=work).stdout
    assert shown.splitlines()[:6] == lines[:6]
    for name in ("ROC AUC", "average precision", "Brier score", "recall", "called bear"):
        assert name in shown
    content = json.loads(command("evaluate", "--json", cwd=work).stdout)
    assert content["split"] == "test"
    again = json.loads((work / "run" / "metrics.json").read_text())["evaluations"]["test"]
    assert content["estimates"] == again["estimates"]


def test_evaluate_judges_other_photos_and_other_splits(work, photos, command):
    valid = json.loads(command("evaluate", "--split", "valid", "--json", cwd=work).stdout)
    assert valid["split"] == "valid"
    other = json.loads(command("evaluate", "--data", photos / "train", "--json", cwd=work).stdout)
    assert other["n"] == len(list((photos / "train").rglob("*.jpg")))
    assert other["split"] == "test"


def test_evaluate_refuses_a_split_that_is_not_there(work, photos, command):
    process = command("evaluate", "--data", photos / "train", "--split", "valid", cwd=work, code=1)
    assert "has no valid photos" in process.stderr


def test_evaluate_can_require_a_score(work, command):
    command("evaluate", "--at-least", "accuracy=0.01", cwd=work)
    process = command("evaluate", "--at-least", "accuracy=1.01", cwd=work, code=1)
    assert "less than 1.01" in process.stderr


def test_a_threshold_is_chosen_on_validation_judged_on_test_and_kept_for_predict(work, photos, tmp_path, command):
    shutil.copytree(work / "run", tmp_path / "run")
    process = command(
        "evaluate",
        "run",
        "--target-recall",
        "0.9",
        "--prevalence",
        "0.02",
        "--photos-per-day",
        "400",
        "--save-threshold",
        "--all",
        cwd=tmp_path,
    )
    for said in (
        "chosen on 12 validation photos",
        "Of 400 photos per day, if 2% have a bear",
        "alerts per day",
        "by group",
        "chosen for 90% recall.",
        "Next: bearcnn predict PHOTOS --model run",
    ):
        assert said in " ".join(process.stdout.split())
    assert "90% recall is not shown: " in process.stderr
    assert " of 6 test bears found, " in process.stderr
    assert "; 29 test bears, all found, would show it" in process.stderr
    content = json.loads(command("evaluate", "run", "--json", cwd=tmp_path).stdout)
    valid = [
        json.loads(line)
        for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
        if json.loads(line)["split"] == "valid"
    ]
    found = [row["probability"] >= content["threshold"] for row in valid if row["label"]]
    assert sum(found) / len(found) >= 0.9
    files = some_photos(photos)
    rows = json.loads(command("predict", *files, "--model", tmp_path / "run" / "model.onnx", "--json").stdout)
    assert [row["label"] for row in rows] == [
        ("not_bear", "bear")[row["probability"] >= content["threshold"]] for row in rows
    ]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "chosen on 12 validation photos to find at least 90% of" in page


def test_a_threshold_of_few_false_alarms_on_other_photos(work, photos, command):
    process = command(
        "evaluate",
        "--data",
        photos / "train",
        "--max-false-alarms-per-day",
        "5",
        "--photos-per-day",
        "100",
        "--prevalence",
        "0",
        "--json",
        cwd=work,
    )
    choice = json.loads(process.stdout)["choice"]
    assert choice["rule"] == "max_false_alarms_per_day" and choice["reached"] <= 5


def test_the_tables_fit_80_columns(work, command):
    said = command("evaluate", "--prevalence", "0.02", "--all", cwd=work).stdout
    assert all(len(line) <= 80 for line in said.splitlines() if "/" not in line)
    for words in ("false alarms, of other photos", "alerts that are bears", "errors by group of photos"):
        assert words in said


def test_every_split_can_be_asked_for():
    assert (*splits.SPLITS, splits.FOLDS) == SPLITS


def test_a_model_file_alone_is_evaluated_on_labelled_photos(work, photos, tmp_path, command):
    shutil.copy(work / "run" / "model.onnx", tmp_path / "bear.onnx")
    asked = ("--data", photos, "--exclude", "empty", "--json")
    alone = json.loads(command("evaluate", "bear.onnx", *asked, cwd=tmp_path).stdout)
    of_run = json.loads(command("evaluate", work / "run", *asked, cwd=tmp_path).stdout)
    assert alone["estimates"] == of_run["estimates"] and alone["model"] == "bear.onnx"
    assert alone["without"]["subclasses"] == ["empty"]
    assert alone["without"]["evaluation"]["n"] < alone["n"] == 12
    refused = command("evaluate", "bear.onnx", cwd=tmp_path, code=1)
    assert "add --data with labelled photos" in refused.stderr
    refused = command("evaluate", "bear.onnx", "--data", photos, "--target-recall", "0.9", cwd=tmp_path, code=1)
    assert "a threshold is chosen on a run's validation photos" in refused.stderr


def test_two_thresholds_are_shown_kept_and_used_by_predict(work, photos, tmp_path, command):
    shutil.copytree(work / "run", tmp_path / "run")
    options = ("--target-recall", "0.9", "--target-precision", "0.9", "--prevalence", "0.1")
    plain = json.loads(command("evaluate", "run", *options[:2], "--json", cwd=tmp_path).stdout)
    assert "unsure" not in plain
    process = command("evaluate", "run", *options, "--save-threshold", cwd=tmp_path)
    assert "now those of run/model.onnx; predict uses the first, predict --unsure both" in process.stderr
    content = json.loads(command("evaluate", "run", *options, "--json", cwd=tmp_path).stdout)
    two = content["unsure"]["range"]
    assert two["lower"] == content["choice"]["threshold"] <= two["upper"]
    assert ("photos that are unsure" in process.stdout) == (two["lower"] < two["upper"])
    predicted = command("predict", photos / "test", "--model", "run", "--unsure", "--json", cwd=tmp_path)
    rows = json.loads(predicted.stdout)
    assert {row["label"] for row in rows} <= {"bear", "not_bear", "unsure"}
    for row in rows:
        assert (row["label"] == "bear") == (row["probability"] >= two["upper"])
        assert (row["label"] == "not_bear") == (row["probability"] < two["lower"])


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_threshold_is_not_kept_in_a_damaged_file_which_is_named(work, tmp_path, command, name):
    run = Path(shutil.copytree(work / "run", tmp_path / "run"))
    content = bytearray((run / name).read_bytes())
    content[-40] ^= 1
    (run / name).write_bytes(content)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = command("evaluate", "run", "--threshold", "0.4", "--save-threshold", cwd=tmp_path, code=1)
    line = " ".join(said.stderr.rpartition("error: ")[2].split())
    assert line.startswith(f"run/{name} is damaged: its bytes are not those that were written; copy it again")
    assert said.stdout == ""
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def made_up(shift: float, **asked: float) -> Assessment:
    draw, policy = np.random.default_rng(0), ThresholdPolicy(**asked)
    odds = draw.normal(0, 1, 80) + shift * np.tile([1, -1], 40)
    predictions = [
        LabelledPrediction(str(number), "test", 1 - number % 2, "x", "", float(1 / (1 + np.exp(-each))), False)
        for number, each in enumerate(odds)
    ]
    return assess(predictions, "test", choose_threshold(policy, predictions, 0.5), policy, trained_on=None)


def test_the_next_command_improves_the_model_chooses_a_threshold_keeps_it_or_uses_it():
    run, place = Run(Path("runs/a b")), Path("runs/a b")
    assert next_command(None, run, made_up(0), False, False) == "bearcnn learning-curve"
    good, chosen = made_up(2), made_up(2, target_recall=0.9)
    assert next_command(None, run, good, False, True) == "bearcnn evaluate --target-recall 0.98"
    assert (
        next_command(place, run, good, False, False)
        == "bearcnn evaluate 'runs/a b' --target-recall 0.98 --prevalence 0.02"
    )
    assert next_command(None, run, chosen, False, False).startswith("the same command and --save-threshold")
    assert next_command(place, run, chosen, True, False) == "bearcnn predict PHOTOS --model 'runs/a b'"
