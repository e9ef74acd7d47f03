"""A pooling mode, an export format and an engine that are registered from outside work everywhere."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import bearcnn
from bearcnn.errors import BearcnnError, ConfigError
from bearcnn.export.base import Exported, ExportSource, run_torch
from bearcnn.formats import EXPORT_FORMATS, ExportFormat
from bearcnn.inference.engines import ENGINES, EngineRow
from bearcnn.pooling import POOLING_MODES, PoolingMode
from bearcnn.registry import Registry
from tests.helpers.training import small_config, train_small

pytestmark = pytest.mark.slow  # trains, or starts processes


class MedianPool(nn.Module):
    """The median of each window."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        rows, columns = height // self.size, width // self.size
        windows = maps[:, :, : rows * self.size, : columns * self.size]
        windows = windows.reshape(batch, channels, rows, self.size, columns, self.size)
        return windows.permute(0, 1, 2, 4, 3, 5).flatten(4).sort(-1).values[..., self.size**2 // 2]


class GlobalMedianPool(nn.Module):
    """The median of each whole map."""

    def forward(self, maps: Tensor) -> Tensor:
        flat = maps.flatten(2)
        return flat.sort(-1).values[..., flat.shape[-1] // 2]


@pytest.fixture
def median():
    POOLING_MODES.register(PoolingMode("median", "median", 1, MedianPool, GlobalMedianPool))
    yield
    POOLING_MODES.unregister("median")


@pytest.fixture
def raw():
    """A format that holds nothing but the numbers of the head."""

    def export_raw(source: ExportSource) -> Exported:
        return Exported(source.network.head.weight.detach().numpy().tobytes(), run_torch(source.shipped))

    EXPORT_FORMATS.register(ExportFormat("raw", ".raw", "the head's numbers", export_raw))
    yield
    EXPORT_FORMATS.unregister("raw")


@pytest.mark.parametrize("stride", [1, 2])
def test_a_registered_pooling_mode_trains_exports_and_answers(median, photos, tmp_path, monkeypatch, stride):
    monkeypatch.chdir(tmp_path)
    config = small_config(photos, "model.pooling=median", f"model.stride={stride}", "train.epochs=1")
    run, dataset, reporter = train_small(config, tmp_path / "run")
    assert any("median" in row.layer for row in reporter.layers)
    session = onnxruntime.InferenceSession(run.onnx_file, providers=["CPUExecutionProvider"])
    pixels = np.asarray(dataset.pixels[:3])
    assert session.run(["probability"], {"pixels": pixels})[0].shape == (3,)
    assert bearcnn.explain(run, dataset.examples[0].path).mode == "RGB"


def test_a_mode_that_nobody_registered_is_refused_with_those_there_are(photos):
    with pytest.raises(ConfigError, match="expected max, avg or concat"):
        small_config(photos, "model.pooling=median")


def test_a_registered_format_is_exported_with_its_parity(raw, trained, tmp_path):
    run, dataset, _ = trained
    report = bearcnn.export(run, "raw", tmp_path / "head.raw", dataset=dataset)
    weights = torch.frombuffer(bytearray((tmp_path / "head.raw").read_bytes()), dtype=torch.float32)
    assert len(weights) % 16 == 0
    assert report.largest_difference == 0
    assert report.file.suffix == ".raw"


def test_a_format_that_nobody_registered_is_refused_with_those_there_are(trained, tmp_path):
    with pytest.raises(BearcnnError, match=r"no export format 'onx': expected onnx, .* did you mean onnx\?"):
        bearcnn.export(trained[0], "onx", tmp_path / "x", dataset=trained[1])


class GuessingEngine:
    """Answers the mean brightness, whatever the model."""

    def __init__(self, file, manifest, threads) -> None:
        self.file = file

    def run(self, pixels):
        return pixels.mean((1, 2, 3), np.float32) / 255, np.zeros((len(pixels), 2, 2), np.float32)


@pytest.fixture
def guessing():
    ENGINES.register(EngineRow("guessing", "Guessing", "json", "none", GuessingEngine))
    yield
    ENGINES.unregister("guessing")


def test_a_registered_engine_answers_photos(guessing, trained):
    run, dataset, _ = trained
    (answer,) = bearcnn.Predictor(run.onnx_file, "guessing").predict([dataset.examples[0].path])
    assert answer.probability == pytest.approx(dataset.pixels[dataset.examples[0].row].mean() / 255, abs=1e-5)


def test_a_name_is_registered_once():
    registry: Registry[PoolingMode] = Registry("pooling mode", [POOLING_MODES["max"]])
    with pytest.raises(ValueError, match="already"):
        registry.register(POOLING_MODES["max"])
    assert registry.names() == ["max"]
    assert "avg" not in registry
