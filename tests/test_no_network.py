"""Nothing is sent: neither by us, nor by onnxruntime, whose telemetry is on unless a variable says otherwise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bearcnn.data.photos import find_photos
from tests.helpers.no_sockets import BAD_SYSTEM_CALL, OPEN_A_SOCKET, run, skip_without_filter
from tests.helpers.onnx_models import write_model
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow  # starts processes


@pytest.fixture(scope="module", autouse=True)
def _the_filter_works():
    skip_without_filter()
    assert run("-c", OPEN_A_SOCKET).returncode == BAD_SYSTEM_CALL


def test_a_prediction_opens_no_socket(tmp_path: Path, photos: Path) -> None:
    model = write_model(tmp_path / "model.onnx")
    drawn = tmp_path / "drawn"
    process = run("-m", "bearcnn", "predict", next(find_photos(photos)), "--model", model, "--heatmaps", drawn)
    assert process.returncode == 0, process.stderr
    assert (drawn / "index.html").exists()


@pytest.mark.parametrize(
    "module",
    ["bearcnn", "bearcnn.cli.app", "bearcnn.inference.engines.onnxruntime", "bearcnn.export.base", "bearcnn.__main__"],
)
def test_telemetry_is_off_before_onnxruntime_is_imported(module: str) -> None:
    code = (
        "import sys, os\n"
        "class Look:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print('imported', os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Look())\n"
        f"import {module}, onnxruntime\n"
    )
    process = run("-c", code)
    assert process.stdout.splitlines() == ["imported 1"], process.stderr


SEVERAL = (
    "import json, sys\n"
    "from bearcnn.cli.app import main\n"
    "for command in json.loads(sys.argv[1]):\n"
    "    sys.argv = ['bearcnn', *map(str, command)]\n"
    "    try: main()\n"
    "    except SystemExit as ended: assert not ended.code, command\n"
)


def test_commands_on_photos_open_no_socket(tmp_path: Path, photos: Path) -> None:
    commands = [
        ["data", "synth", tmp_path / "drawn", "--count", 20, "--size", 16],
        ["data", "check", photos, "--no-labels", "--html", tmp_path / "check.html"],  # those load fastai
        ["data", "look", photos, "--out", tmp_path / "look.html"],
        ["data", "cache"],
        ["config", "show"],
    ]
    process = run("-c", SEVERAL, json.dumps(commands, default=str), BEARCNN_CACHE=str(tmp_path / "cache"))
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "check.html").exists() and (tmp_path / "look.html").exists()


def test_export_and_sweep_reach_no_other_computer(tmp_path: Path, photos: Path, trained) -> None:
    tiny = [f"--set={each}" for each in ("data.image_size=16", "model.widths=[8]", "train.replicas=1")]
    commands = [
        ["export", trained[0].directory, "--format", "int8", "--allow-loss", "--out", tmp_path / "int8.onnx"],
        ["sweep-dropout", "--data", photos, "--rates=0", "--seeds=1", "--epochs=1", *tiny, "--out", tmp_path / "s"],
    ]
    process = run(
        "-c",
        SEVERAL,
        json.dumps(commands, default=str),
        until="connect",
        MPLCONFIGDIR=str(tmp_path),
        HOME=str(tmp_path),
        USER="bear",
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "int8.onnx").exists() and (tmp_path / "s/summary.txt").exists()


def test_a_users_own_setting_stays() -> None:
    code = "import bearcnn, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "0\n"
