"""One training run in two processes: the same weights in both, the scores of one process, and an end for all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bearcnn.data.dataset import Dataset
from bearcnn.data.synthetic.scene import draw_scene
from bearcnn.errors import ConfigError
from bearcnn.evaluation.metrics import score
from bearcnn.pipeline import check_world
from bearcnn.runs import Run
from bearcnn.training.checkpoint import read_checkpoint
from bearcnn.training.fit import fit
from bearcnn.training.learner import build_learner
from bearcnn.training.world import World, join_world
from tests.helpers.commands import bearcnn_command
from tests.helpers.ranks import WHOLE_BATCH, first_gradient
from tests.helpers.training import StopAfter, small_config

pytestmark = pytest.mark.slow  # starts processes

PATIENCE = 200
"""Seconds for processes that load torch beside other programs."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """40 drawn photos to train on, and 53 for validation: a photo and a batch more in one slice than in the other."""
    folder = tmp_path_factory.mktemp("ranks") / "photos"
    for number in range(93):
        scene = draw_scene(1, number, size=32, is_bear=number % 2 == 0)
        place = folder / ("train" if number < 40 else "valid") / ("bear" if scene.is_bear else "not_bear")
        place.mkdir(parents=True, exist_ok=True)
        scene.image.save(place / f"{number:03}.jpg")
    return folder


@pytest.fixture(scope="module")
def dataset(photos) -> Dataset:
    return Dataset.from_config(small_config(photos).data)


@pytest.fixture(scope="module")
def two_ranks(photos, dataset, tmp_path_factory) -> Path:
    """What two ranks of one training run wrote, started by torchrun."""
    folder = tmp_path_factory.mktemp("two")
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "tests.helpers.ranks",
            str(photos),
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return folder


def test_both_ranks_have_the_same_weights_and_history_to_the_bit(two_ranks):
    first, second = (load_file(two_ranks / f"weights-{rank}.safetensors") for rank in range(2))
    for name in first:
        assert torch.equal(first[name], second[name]), name
    histories = [json.loads((two_ranks / f"history-{rank}.json").read_text()) for rank in range(2)]
    assert len(histories[0]) == 2
    for record in (*histories[0], *histories[1]):
        del record["busy"]  # of each rank's own time
    assert histories[0] == histories[1]


def test_scores_are_those_of_one_process(two_ranks, photos, dataset):
    run = Run(two_ranks / "run")
    assert len(dataset.select("valid")) == 53
    learner = build_learner(run.config(), dataset)
    read_checkpoint(run).restore_model(learner.model)
    with learner.no_bar(), learner.no_logging():
        probabilities, labels = learner.get_preds(ds_idx=1)
        (loss,) = learner.validate()
    last = run.history()[-1]
    assert last.valid_loss == pytest.approx(loss, abs=1e-6)
    expected = score(labels.numpy(), probabilities[:, 1].double().numpy())
    for name in ("accuracy", "roc_auc", "average_precision"):
        assert getattr(last, name) == pytest.approx(expected[name], abs=1e-6), name


def test_the_gradient_is_that_of_the_whole_batch_without_batch_norm(two_ranks, photos, dataset):
    expected = first_gradient(small_config(photos, *WHOLE_BATCH), dataset, None)
    for rank in range(2):
        found = load_file(two_ranks / f"gradient-{rank}.safetensors")
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def start(*arguments: object, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bearcnn", "train", *map(str, arguments)],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def wait_for_epochs(process: "subprocess.Popen[str]", run: Run, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(run.history()) < count and process.poll() is None:
        assert time.monotonic() < end, "no epoch was finished"
        time.sleep(0.05)


def test_ctrl_c_ends_two_devices_with_a_model_and_a_killed_one_ends_the_other_and_one_device_continues(
    photos, dataset, tmp_path
):
    run = Run(tmp_path / "r")
    process = start(
        "--devices",
        2,
        "--data",
        photos,
        "--out",
        "r",
        "--image-size",
        32,
        "--epochs",
        90_000,
        "--batch-size",
        8,
        "--set",
        "model.widths=[8]",
        folder=tmp_path,
    )
    wait_for_epochs(process, run, 1)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert out.count("model.onnx") == 1
    assert said.count("bearcnn train --resume r") == 1
    assert not run.metrics()["complete"]

    before = len(run.history())
    process = start("--devices", 2, "--resume", "r", folder=tmp_path)
    wait_for_epochs(process, run, before + 1)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(ranks[1]), signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert "another process of this training run has ended; continue from the last finished epoch" in errors[0]
    assert errors[0].endswith("bearcnn train --resume r")
    assert "Traceback" not in said

    epochs = len(run.history())
    assert read_checkpoint(run).state.devices == 2
    reporter = Listener(2)
    assert fit(run, dataset, resume=True, reporter=reporter).interrupted
    assert reporter.records[-1].epoch == epochs + 2
    assert ["computed on 2 devices, and now on one device" in each for each in reporter.said] == [True]


class Listener(StopAfter):
    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self.said: list[str] = []

    def warn(self, what: str) -> None:
        self.said.append(what)


def test_what_several_devices_can_t_do_is_an_error_that_rank_0_tells(photos, dataset, tmp_path):
    for rank in range(2):
        with pytest.raises(ConfigError, match="3 photos are too few for 2 devices") as caught:
            World(rank, 2).check_batches(3)
        assert caught.value.told == (rank == 1)
    World(0, 2).check_batches(4)
    World().check_batches(1)
    process = bearcnn_command("train", "--devices", 2, "--lr-find", cwd=tmp_path, code=1)
    assert process.stderr == "error: --lr-find needs one device: omit the others\n"


def test_cross_validation_on_several_devices_is_refused(photos):
    with pytest.raises(ConfigError, match="cross-validation runs on one device"):
        check_world(World(0, 2), small_config(photos, "train.folds=3"))


def test_one_process_is_a_world_that_waits_for_nobody():
    with join_world() as world:
        assert world.leads
        assert world.share(lambda: 3) == world.in_turn(lambda: 3) == 3
        world.wait()
