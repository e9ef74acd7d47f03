"""No command opens a socket to another computer, however long it runs; the same test sees telemetry where it is on."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bearcnn.data.photos import find_photos
from tests.helpers.no_sockets import BAD_SYSTEM_CALL, CONNECT, OPEN_A_SOCKET, SEND, run, skip_without_filter
from tests.helpers.onnx_models import write_model

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1200)]

LONG = 30
"""Seconds: the first question of onnxruntime's telemetry came after a few."""


@pytest.fixture(scope="module", autouse=True)
def _the_filter_works():
    skip_without_filter()
    assert run("-c", OPEN_A_SOCKET).returncode == BAD_SYSTEM_CALL
    assert run("-c", OPEN_A_SOCKET, until="connect").returncode == 0
    for code in (CONNECT, SEND):
        assert run("-c", code, until="connect").returncode == BAD_SYSTEM_CALL


def predict_for_long(photo: Path, model: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    with subprocess.Popen(f"echo {photo}; sleep {LONG}", shell=True, stdout=subprocess.PIPE) as feed:
        assert feed.stdout
        return run("-m", "bearcnn", "predict", "-", "--model", model, stdin=feed.stdout.fileno(), **environment)


def test_a_long_prediction_opens_no_socket(
    tmp_path: Path, photos: Path, figures: Callable[[str, object], None]
) -> None:
    model, photo = write_model(tmp_path / "model.onnx"), next(find_photos(photos))
    process = predict_for_long(photo, model)
    assert process.returncode == 0, process.stderr
    figures(f"sockets opened by a prediction of {LONG} s", 0)
    talkative = predict_for_long(photo, model, ORT_DISABLE_TELEMETRY="0")
    seen = "is seen (the kernel ends it)" if talkative.returncode == BAD_SYSTEM_CALL else "opens none in that time"
    figures("the same with onnxruntime's telemetry on", seen)


def test_no_command_reaches_another_computer(
    tmp_path: Path, photos: Path, figures: Callable[[str, object], None]
) -> None:
    run_folder, photo = tmp_path / "run", next(find_photos(photos))
    settings = [
        f"--set={each}" for each in ("data.image_size=32", "model.widths=[8]", "train.epochs=1", "train.replicas=1")
    ]
    commands = [
        ["train", "--data", photos, "--out", run_folder, *settings],
        ["evaluate", run_folder],
        ["report", run_folder],
        ["explain", photo, "--model", run_folder, "--out", tmp_path / "explained.png"],
    ]
    for command in commands:
        process = run(
            "-m", "bearcnn", *command, until="connect", MPLCONFIGDIR=str(tmp_path), HOME=str(tmp_path), USER="bear"
        )
        assert process.returncode == 0, f"{command}\n{process.stdout[-2000:]}\n{process.stderr[-2000:]}"
    figures("commands that reach no other computer", len(commands))
