"""OpenCV against ONNX Runtime, on networks of every shape; `test_pretrained` does it with a body."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from bearcnn.config import ModelConfig
from bearcnn.export.onnx import to_onnx
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import Manifest
from bearcnn.model.network import build_model

pytestmark = pytest.mark.slow  # exports networks

SIZE = 32


def export(folder, subclasses=((0, ""), (1, "")), **options):
    torch.manual_seed(0)
    network = build_model(ModelConfig(**{"widths": (8, 16, 16), **options}), [label for label, _ in subclasses]).eval()
    manifest = Manifest(
        name="test",
        classes=("not_bear", "bear"),
        image_size=SIZE,
        resize="squish",
        subclasses=subclasses,
        temperature=1.3,
    )
    file = folder / "model.onnx"
    file.write_bytes(to_onnx(network, manifest))
    return file


def assert_same_answers(file, rng):
    one = Predictor(file, "onnxruntime")
    side = one.manifest.image_size
    pixels = rng.integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    expected = one.predict_pixels(pixels)
    predictor = Predictor(file, "opencv", threads=2)
    with ThreadPoolExecutor(4) as pool:  # an engine that reuses its memory must not change what it gave others
        together = list(pool.map(predictor.predict_pixels, [pixels] * 4))
    for found in together:
        for ours, wanted in zip(found, expected, strict=True):
            assert ours.dtype == wanted.dtype
            np.testing.assert_allclose(ours, wanted, atol=1e-5)
    assert np.ptp(expected[1]) > 1e-4  # the windows do differ


@pytest.mark.parametrize(
    ("subclasses", "options"),
    [
        (((0, ""), (1, "")), {"pooling": "avg", "kernel_size": 5}),
        (
            ((0, "empty"), (0, "wolf"), (1, "brown"), (1, "black"), (0, "deer")),
            {"stride": 1, "pooling": "concat", "residual": (0, 1, 2)},
        ),
    ],
)
def test_opencv_answers_as_onnxruntime_does(subclasses, options, tmp_path, rng):
    assert_same_answers(export(tmp_path, subclasses, **options), rng)
