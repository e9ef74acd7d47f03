import json

import pytest

from tests.helpers.commands import bearcnn_command

pytestmark = pytest.mark.slow


def test_export_writes_where_asked_and_never_over_a_file(work, tmp_path, command):
    process = command("export", "--format", "int8", "--out", tmp_path / "b.onnx", "--allow-loss", "--json", cwd=work)
    assert json.loads(process.stdout)["format"] == "int8"
    again = command("export", "--out", tmp_path / "b.onnx", cwd=work, code=1)
    assert "exists already" in again.stderr


def test_export_to_fastai_warns_of_the_pickle(work, tmp_path):
    process = bearcnn_command("export", "--format", "fastai", "--out", tmp_path / "b.pkl", cwd=work)
    assert "pickle" in process.stderr
