import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bearcnn.cli.display.dataset import show_dataset
from bearcnn.cli.options import ConfigOptions
from bearcnn.data.dataset import Dataset
from bearcnn.runs import Run
from tests.helpers.commands import bearcnn_command, some_photos


@pytest.mark.slow
class TestTrain:
    """The main job, from the shell."""

    def test_a_training_from_the_shell_shows_the_network_the_epochs_and_what_to_do_next(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--data", photos, "--image-size", 32, "--epochs", 2, "--batch-size", 8, "--pooling", "max",
            "--kernel-size", "5,3", "--set", "model.widths=[8, 16]", cwd=tmp_path,
        )  # fmt: skip
        assert "convolution 5 x 5, stride 2" in process.stderr
        assert "max of the whole map" in process.stderr
        epochs = [line for line in process.stderr.splitlines() if re.match(r" +\d+  \d", line)]
        assert len(epochs) == 2
        assert all(len(line) <= 80 for line in process.stderr.splitlines())
        assert "bearcnn predict" in process.stdout
        run = Run(tmp_path / "runs" / "latest")
        assert run.onnx_file.is_file()
        assert run.config().model.kernel_size == (5, 3)
        assert run.config().data.path == str(photos)

    def test_json_gives_one_document_on_stdout(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--data", photos, "--json", "--out", "r", "--image-size", 32, "--epochs", 1,
            "--set", "model.widths=[8]", "--batch-size", 8, cwd=tmp_path,
        )  # fmt: skip
        content = json.loads(process.stdout)
        assert content["run"] == "r"
        assert set(content["evaluations"]) == {"valid", "test"}

    def test_ctrl_c_leaves_a_model_and_says_how_to_go_on(self, photos, tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-m", "bearcnn", "train", "--data", str(photos), "--out", "r", "--image-size", "32",
             "--epochs", "5000", "--set", "model.widths=[8]", "--batch-size", "8"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not (tmp_path / "r" / "history.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=120)
        assert process.returncode == 130, notes
        assert "bearcnn train --resume r" in notes
        assert "Traceback" not in notes
        bearcnn_command("predict", some_photos(photos)[0], "--model", "r", cwd=tmp_path)

    def test_lr_find_suggests_a_rate_and_draws_why(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--lr-find", "--json", "--data", photos, "--image-size", 32, "--set", "model.widths=[8, 16]",
            "--batch-size", 8, cwd=tmp_path,
        )  # fmt: skip
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
        "train.epochs", "train.lr", "model.widths", "data.path", "model.kernel_size", "train.epochs",
    ]  # fmt: skip
