import io
import tempfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from bearcnn.config import ModelConfig
from bearcnn.errors import BearcnnError
from bearcnn.export import int8
from bearcnn.export.base import ShippedModel
from bearcnn.export.onnx import to_onnx
from bearcnn.export.run import export_run
from bearcnn.formats import EXPORT_FORMATS
from bearcnn.manifest import Manifest, read_manifest
from bearcnn.model.network import build_model
from tests.helpers.training import float_file_of

pytestmark = pytest.mark.slow  # trains, or starts processes

MANIFEST = Manifest(name="test", classes=("not_bear", "bear"), image_size=32, resize="squish")


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("options", "temperature"),
    [
        ({}, 1.0),
        ({}, 2.5),
        ({"stride": 1, "pooling": "max", "kernel_size": 5}, 2.5),
        ({"stride": 1, "pooling": "concat", "residual": (0, 1, 2)}, 2.5),
        ({"pooling": "avg", "input_dropout": 0.5, "conv_dropout": 0.5, "dropout": 0.5}, 2.5),
        ({"stride": 1, "pooling": "avg", "pool_size": 3, "widths": (4, 8)}, 2.5),
    ],
)
def test_the_onnx_file_answers_as_torch_does_for_any_number_of_photos(options, temperature, pixels):
    torch.manual_seed(0)
    network = build_model(ModelConfig(**{"widths": (8, 16, 16), **options}))
    network.train()(torch.from_numpy(pixels).permute(0, 3, 1, 2))  # norms that have seen something
    network.eval()
    manifest = MANIFEST.model_copy(update={"temperature": temperature})
    session = onnxruntime.InferenceSession(to_onnx(network, manifest), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = [answer.numpy() for answer in ShippedModel(network, temperature)(torch.from_numpy(pixels))]
    for count in (1, 5):
        answers = session.run(["probability", "window_probability"], {"pixels": pixels[:count]})
        for answer, wanted in zip(answers, expected, strict=True):
            np.testing.assert_allclose(answer, wanted[:count], atol=1e-5)


def test_temperature_divides_the_log_odds(pixels):
    network = build_model(ModelConfig(widths=(8, 16))).eval()
    with torch.no_grad():
        plain, _ = ShippedModel(network, 1.0)(torch.from_numpy(pixels))
        cooled, _ = ShippedModel(network, 2.0)(torch.from_numpy(pixels))
    torch.testing.assert_close(torch.logit(cooled), torch.logit(plain) / 2, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("target", EXPORT_FORMATS.names())
def test_every_format_holds_the_trained_network(trained, tmp_path, target, pixels, request):
    run, dataset, _ = trained
    runtime = request.getfixturevalue("web_runtime") if EXPORT_FORMATS[target].needs_runtime else None
    out = tmp_path / f"bear{EXPORT_FORMATS[target].suffix}"
    with nullcontext() if target == "onnx" else float_file_of(run):
        report = export_run(run, dataset, target, out, allow_loss=True, runtime=runtime)
    # 12 photos: one pair that changes places is a loss
    assert report.bytes == out.stat().st_size
    assert report.photos == len(dataset.select("valid"))
    assert report.largest_difference < (0.1 if "int8" in target else 1e-5)  # 8 bits round
    assert report.roc_auc == pytest.approx(report.roc_auc_trained, abs=0.1)
    if target == "int8":
        assert read_manifest(out).quantized
        assert not read_manifest(run.onnx_file).quantized
        assert report.speed > 0
        assert report.bytes_onnx > 0
    elif target == "safetensors":
        saved, original = load_file(out), load_file(run.weights_file)
        assert saved.keys() == original.keys()
        assert all(np.array_equal(saved[name], original[name]) for name in saved)
        assert read_manifest(out) == read_manifest(run.weights_file)
    elif target == "pt2":
        program = torch.export.load(out)
        session = onnxruntime.InferenceSession(run.onnx_file, providers=["CPUExecutionProvider"])
        answer = program.module()(torch.from_numpy(pixels))[0].detach().numpy()
        np.testing.assert_allclose(answer, session.run(["probability"], {"pixels": pixels})[0], atol=1e-5)
        with zipfile.ZipFile(io.BytesIO(out.read_bytes())) as archive:
            assert any(name.endswith("bearcnn.json") for name in archive.namelist())


def test_nothing_is_overwritten(trained, tmp_path):
    run, dataset, _ = trained
    (tmp_path / "mine.onnx").write_text("precious")
    with pytest.raises(BearcnnError, match="exists already"):
        export_run(run, dataset, "onnx", tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "precious"


def test_what_a_killed_8_bit_export_leaves_lies_where_the_next_one_deletes_it(monkeypatch, pixels):
    seen = []

    def stop(*_, **__):
        seen.append(Path(tempfile.gettempdir()))
        raise InterruptedError

    monkeypatch.setattr(int8, "quant_pre_process", stop)
    before = tempfile.gettempdir()
    with pytest.raises(InterruptedError):
        int8.to_int8(b"", MANIFEST, pixels)
    assert (seen[0].parent, seen[0].name[:16]) == (Path(before), ".bearcnn-export-")
    assert tempfile.gettempdir() == before
