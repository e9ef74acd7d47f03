import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.progress import Progress

import bearcnn
from bearcnn.cli.display.dataset import show_dataset
from bearcnn.cli.display.training import TrainingDisplay
from bearcnn.cli.options import ConfigOptions
from bearcnn.data.dataset import Dataset
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.manifest import read_manifest
from bearcnn.runs import Run
from tests.helpers.commands import bearcnn_command, some_photos


@pytest.mark.slow
def start_training(photos: Path, place: Path, *options: str, first: Path) -> subprocess.Popen[str]:
    """Start a long training run in a process of its own, and wait for the file that its first epoch writes."""
    small = ["--image-size", "32", "--epochs", "5000", "--set", "model.widths=[8]", "--batch-size", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bearcnn", "train", "--data", str(photos), "--out", "r", *small, *options],
        cwd=place,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


class TestTrain:
    """The main job, from the shell."""

    def test_a_training_shows_the_network_the_epochs_and_what_to_do_next(self, photos, tmp_path, command):
        process = command(
            "train",
            "--data",
            photos,
            "--image-size",
            32,
            "--epochs",
            2,
            "--batch-size",
            8,
            "--pooling",
            "max",
            "--kernel-size",
            "5,3",
            "--set",
            "model.widths=[8, 16]",
            cwd=tmp_path,
        )
        assert "convolution 5 x 5, stride 2" in process.stderr
        assert "max of the whole map" in process.stderr
        assert "cross-validation scores more of so few photos: add --folds 5" in process.stderr
        epochs = [line for line in process.stderr.splitlines() if re.match(r" +\d+  \d", line)]
        assert len(epochs) == 2
        assert all(len(line) <= 80 for line in process.stderr.splitlines())
        run = Run(tmp_path / "runs" / "latest")
        place = f"runs/{run.directory.resolve().name}"
        first = process.stderr.splitlines()[0]
        assert re.fullmatch(
            rf"bearcnn {bearcnn.__version__} on cpu, \d+ threads?, (float32|bfloat16), seed 0, in {place}", first
        )
        ending = process.stdout.partition(f"in {place}:\n")[2].splitlines()
        assert [line.split()[0] for line in ending[:3]] == ["report.html", "model.onnx", "metrics.json"]
        assert ending[-1].startswith("Next: bearcnn ") and place in ending[-1]
        # The report's own verdict.
        page = " ".join(re.sub(r"<[^>]+>", " ", run.report_file.read_text()).split())
        verdict = " ".join(process.stdout.partition("\n\n")[0].split())
        assert verdict.startswith("Can't tell yet. 6 photos with a bear and 6 without are too few for a verdict.")
        assert verdict.partition(". ")[2] in html.unescape(page)
        assert run.onnx_file.is_file()
        assert run.config().model.kernel_size == (5, 3)
        assert run.config().data.path == str(photos)

    def test_json_gives_one_document_on_stdout(self, photos, tmp_path, command):
        process = command(
            "train",
            "--data",
            photos,
            "--json",
            "--out",
            "r",
            "--image-size",
            32,
            "--epochs",
            1,
            "--set",
            "model.widths=[8]",
            "--batch-size",
            8,
            cwd=tmp_path,
        )
        content = json.loads(process.stdout)
        assert content["run"] == "r"
        assert set(content["evaluations"]) == {"valid", "test"}

    def test_ctrl_c_leaves_a_model_and_says_how_to_go_on(self, photos, tmp_path):
        process = start_training(photos, tmp_path, first=tmp_path / "r" / "history.jsonl")
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=120)
        assert process.returncode == 130, notes
        assert "bearcnn train --resume r" in notes
        assert "Traceback" not in notes
        bearcnn_command("predict", some_photos(photos)[0], "--model", "r", cwd=tmp_path)

    def test_ctrl_c_in_the_first_epoch_says_how_to_start_it(self, photos, tmp_path, command, monkeypatch):
        def press(*_):
            raise KeyboardInterrupt

        options = ["--image-size", 32, "--epochs", 1, "--batch-size", 8, "--set", "model.widths=[8]", "--out", "r"]
        with monkeypatch.context() as patch:
            patch.setattr(TrainingDisplay, "batch_done", press)
            stopped = command("train", "--data", photos, *options, cwd=tmp_path, code=130)
        assert "stopped. Continue with: bearcnn train --resume r" in stopped.stderr
        again = command("train", "--data", photos, *options, cwd=tmp_path, code=1)
        assert "r exists and is not empty" in again.stderr and "bearcnn train --resume r" in again.stderr
        command("train", "--resume", "r", cwd=tmp_path)
        assert Run(tmp_path / "r").metrics()["complete"]
        finished = command("train", "--resume", "r", cwd=tmp_path, code=1)
        assert "r is finished" in finished.stderr

    def test_with_folds_the_last_screen_is_of_all_photos_and_so_is_evaluate(self, photos, tmp_path, command):
        options = ["--image-size", 32, "--epochs", 3, "--batch-size", 8, "--set", "model.widths=[8]"]
        data = ["--data", photos / "train", "--out", "r"]
        process = command("train", *data, *options, "--folds", 3, cwd=tmp_path)
        assert "36 cross-validated photos, each judged by a network that never saw it:" in process.stdout
        assert "fold 3 of 3: AUC " in process.stderr
        assert "nan" not in process.stderr
        assert "add --folds" not in process.stderr
        assert all(len(line) <= 80 for line in process.stderr.splitlines())
        (tmp_path / "r" / "predictions.jsonl").unlink()
        process = command("evaluate", "r", "--target-recall", "0.9", "--json", cwd=tmp_path)
        content = json.loads(process.stdout)
        assert (content["split"], content["n"], content["choice"]["photos"]) == ("folds", 36, 36)
        assert sum("seen all of them" in note for note in content["notes"]) == 1
        process = command("evaluate", "r", "--data", photos, "--split", "folds", cwd=tmp_path, code=1)
        assert "was cross-validated: bearcnn train --folds 5 does that" in process.stderr

    def test_a_termination_in_a_fold_says_how_to_go_on_as_ctrl_c_does(self, photos, tmp_path):
        first = tmp_path / "r" / "folds" / "1" / "history.jsonl"
        process = start_training(photos, tmp_path, "--folds", "2", first=first)
        # Python drops a signal that comes in a destructor or in the bare except of a library: people send it again.
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            try:
                _, notes = process.communicate(timeout=60)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130, notes
        assert "stopped. Continue with: bearcnn train --resume r" in notes
        assert "Traceback" not in notes

    def test_lr_find_suggests_a_rate_and_draws_why(self, photos, tmp_path, command):
        process = command(
            "train",
            "--lr-find",
            "--json",
            "--data",
            photos,
            "--image-size",
            32,
            "--set",
            "model.widths=[8, 16]",
            "--batch-size",
            8,
            cwd=tmp_path,
        )
        found = json.loads(process.stdout)
        assert 1e-6 < found["suggestion"] < 3
        with Image.open(tmp_path / found["plot"]) as plot:
            assert plot.size[0] > 400


def test_an_existing_out_folder_is_refused_before_anything_is_decoded(command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    process = command("train", "--data", photos, "--out", "mine", code=1)
    assert "nothing is ever overwritten" in process.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_photos_that_can_not_be_used_leave_no_empty_folder(command, tmp_path):
    command("train", "--data", "nowhere", code=1, cwd=tmp_path)
    command("train", "--data", "nowhere", "--out", "mine", code=1, cwd=tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_the_built_in_scenes_are_named_as_such(photos, capsys):
    dataset = Dataset.from_folder(photos, image_size=16)
    show_dataset(dataset, builtin=True)
    first, *table = capsys.readouterr().err.splitlines()
    assert first.startswith("using the built-in drawn scenes, not real photos")
    show_dataset(dataset)
    assert capsys.readouterr().err.splitlines() == table
    assert table[0].split() == ["photos", "bear", "not_bear", "total"]


def test_a_folder_called_like_a_number_is_a_folder():
    assert Path(ConfigOptions(data="2024").load().data.path).name == "2024"


def test_the_options_win_over_set_and_the_data_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ConfigOptions(data="photos", overrides=["train.epochs=3", "train.lr=1e-4"], epochs="4", kernel_size="5,3")
    options = replace(options, overrides=[*options.overrides, "model.widths=8,16"])
    config = options.load(seed="7")
    assert config.data.path == str(tmp_path / "photos")
    assert (config.train.epochs, config.train.lr, config.train.seed) == (4, 1e-4, 7)
    assert config.model.kernel_size == (5, 3)
    assert options.set_keys == [
        "train.epochs",
        "train.lr",
        "model.widths",
        "data.path",
        "model.kernel_size",
        "train.epochs",
    ]


@pytest.mark.slow
def test_a_split_by_site_is_told_from_the_first_line_to_the_report(tmp_path, command):
    for index in range(96):  # twelve sites with bears and others at each
        path = tmp_path / "photos" / f"site{index % 12:02}" / ("fox", "bear")[index // 12 % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_scene(0, index, size=48, is_bear=index // 12 % 2 == 1).image.save(path, quality=90)
    ended = command(
        "train",
        "--data",
        "photos",
        "--set",
        "data.group=1",
        "--image-size",
        32,
        "--epochs",
        1,
        "--out",
        "run",
        "--set",
        "model.widths=[8]",
        "--batch-size",
        8,
        cwd=tmp_path,
    )
    assert "split by data.group = 1: 12 groups, " in ended.stderr
    run = Run(tmp_path / "run")
    grouping = run.metrics()["grouping"]
    assert (grouping["by"], grouping["total"], grouping["sites"]) == ("data.group = 1", 12, 12)
    assert run.dataset_record()["grouping"] == {"by": "data.group = 1", "warnings": {}}
    page = " ".join(run.report_file.read_text().split())
    assert "Split by data.group = 1: 12 groups, " in page and "<h3>By site</h3>" in page
    shown = command("evaluate", "run", "--all", cwd=tmp_path)
    assert "errors by site" in shown.stdout and " groups (sites, days or bursts)" in shown.stderr
    assert all(len(line) <= 80 for line in shown.stdout.splitlines() if "/" not in line and "threshold" not in line)
    content = json.loads(command("evaluate", "run", "--json", cwd=tmp_path).stdout)
    assert {row["seen"] for row in content["sites"]} == {False}
    assert content["estimates"] == run.metrics()["evaluations"]["test"]["estimates"]
    assert len(content["sites"]) == grouping["test"] == content["clusters"]
    again = json.loads(command("evaluate", "run", "--data", "photos", "--json", cwd=tmp_path).stdout)
    assert Counter(row["seen"] for row in again["sites"]) == {True: grouping["train"], False: 12 - grouping["train"]}
    assert {row["name"] for row in again["groups"]} >= {"at unseen sites", "at sites trained on"}


def test_the_bar_shows_the_loss_so_far(trained):
    bars = Progress()
    display = TrainingDisplay(bars, 2, 0, "average_precision", 0)
    display.running_loss(0.69314)
    display.batch_done(1, 5)
    assert bars.tasks[0].description == "epoch 1 of 2, loss 0.693"
    display.epoch_done(replace(trained[2].records[0], busy=0))
    display.batch_done(1, 5)
    assert bars.tasks[0].description == "epoch 2 of 2"


def test_a_busy_computer_is_told_once_in_words(trained, capsys):
    display = TrainingDisplay(Progress(), 2, 0, "average_precision", 0)
    for record in trained[2].records:
        display.epoch_done(replace(record, busy=0.4))
    told = "busy: other programs had the processor for 40% of epoch 1; only time is lost"
    assert capsys.readouterr().err.splitlines().count(told) == 1
    TrainingDisplay(Progress(), 2, 0, "", 0).epoch_done(replace(trained[2].records[0], busy=0.05))
    assert "busy" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_class_whose_name_is_no_text_is_trained_on_and_a_folder_of_photos_is_refused(command, photos, tmp_path):
    hostile = [os.fsdecode(b"l\xf6we"), "[red]\x1b[2J\nwolf"]
    data, odd = tmp_path / "photos", tmp_path / os.fsdecode(b"l\xf6we")
    sources = sorted(photos.rglob("*.jpg"))
    for number, name in enumerate(["bear", *hostile]):
        (data / name).mkdir(parents=True)
        for source in sources[20 * number : 20 * number + 20]:
            shutil.copy(source, data / name / os.fsdecode(b"\xe4" + source.name.encode()))
    settings = ["--set=data.image_size=32", "--set=model.widths=[8]", "--set=train.epochs=1", "--set=train.replicas=1"]
    said = command("train", "--data", data, "--out", tmp_path / "run", *settings)
    assert "\x1b[2J" not in said.stdout + said.stderr
    manifest = read_manifest(tmp_path / "run" / "model.onnx")
    assert {name for _, name in manifest.subclasses} == {"bear", r"l\xf6we", hostile[1]}
    said = command("evaluate", tmp_path / "run", "--all")
    assert "\x1b" not in said.stdout and r"[red]\x1b[2J\nwolf" in said.stdout
    assert r"l\xf6we" in said.stdout
    data.rename(odd)
    error = command("train", "--data", odd, "--out", tmp_path / "other", code=1).stderr
    assert "isn't UTF-8 and can't be written down: give the file or folder another name" in error
    assert not (tmp_path / "other").exists()
