import json
import shutil

import pytest

import bearcnn
from bearcnn.runs import Run

pytestmark = pytest.mark.slow


def test_export_writes_where_asked_and_never_over_a_file(work, tmp_path, command):
    process = command("export", "--format", "int8", "--out", tmp_path / "b.onnx", "--allow-loss", "--json", cwd=work)
    assert json.loads(process.stdout)["format"] == "int8"
    again = command("export", "--out", tmp_path / "b.onnx", cwd=work, code=1)
    assert "exists already" in again.stderr


def test_export_to_fastai_warns_of_the_pickle(work, tmp_path, command):
    process = command("export", "--format", "fastai", "--out", tmp_path / "b.pkl", cwd=work)
    assert "pickle" in process.stderr


def test_where_the_photos_have_moved_a_format_that_needs_none_is_written_all_the_same(work, tmp_path, command):
    shutil.copytree(work / "run", tmp_path / "run")
    run = Run(tmp_path / "run")
    text = run.dataset_file.read_text()
    run.dataset_file.write_text(text.replace(f'"root": "{run.dataset_record()["root"]}"', '"root": "/moved"'))
    said = command("export", "run", "--format", "safetensors", "--out", "b.safetensors", cwd=tmp_path)
    assert "compared on noise, not on the run's photos: a photo is missing in /moved" in said.stderr
    assert "probabilities differ by 0 at most, 0 on average, on 32 pictures of noise" in said.stdout
    assert "AUC" not in said.stdout
    assert (tmp_path / "b.safetensors").stat().st_size > 1_000
    assert bearcnn.export(run, "onnx", tmp_path / "b.onnx").largest_difference < 1e-5
    refused = command("export", "run", "--format", "int8", "--out", "b.onnx", cwd=tmp_path, code=1)
    assert "a photo is missing in /moved" in refused.stderr
