"""Input and output of every export format, and the exported module with calibrated probabilities."""

import logging
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bearcnn._version import __version__
from bearcnn.bodies import find_body
from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.data.regions import WHOLE_FRAMES
from bearcnn.evaluation.calibration import fit_temperature
from bearcnn.inference.score import answer_best, in_threads
from bearcnn.manifest import Manifest
from bearcnn.model.bodies import PretrainedBody
from bearcnn.model.network import BearCNN, bear_logit
from bearcnn.model.predict import logits_of, predict_logits
from bearcnn.model.threads import map_batches
from bearcnn.training.maps import network_inputs

CALIBRATION_PHOTOS = 128
_BATCH_SIZE = 16

INPUT = "pixels"
OUTPUTS = ("probability", "window_probability")

Runner = Callable[[NDArray[np.uint8], list[Path]], NDArray[np.float32]]
"""Takes photos as pixels (photos, n, n, 3) and as paths; returns the probability of a bear, (photos,)."""


@dataclass(frozen=True)
class ExportSource:
    """A trained network in evaluation mode, its manifest, its configuration, and its photos if they are there."""

    network: BearCNN
    manifest: Manifest
    config: Config
    dataset: Dataset | None
    float_onnx: bytes
    """The float network as an ONNX file, which every other format is compared with."""
    runtime: Path | None = None
    """The folder of onnxruntime-web, for a format that needs it; None for the cache, or else npm."""

    @cached_property
    def shipped(self) -> "ShippedModel":
        """The network with calibrated probabilities as its outputs."""
        return ShippedModel(self.network, self.manifest.temperature).eval()

    def calibration_pixels(self) -> NDArray[np.uint8]:
        """Choose some training photos, always the same ones: (photos, n, n, 3)."""
        assert self.dataset is not None
        rows, _ = self.dataset.arrays("train")
        chosen = np.random.default_rng(0).permutation(len(rows))[:CALIBRATION_PHOTOS]
        return np.asarray(self.dataset.pixels[np.sort(rows[chosen])])


@dataclass(frozen=True, slots=True)
class Exported:
    """A file's content, and the answers of the model that is read back from it."""

    content: bytes
    answer: Runner


class ShippedModel(nn.Module):
    """The network with calibrated probabilities as its outputs.

    It takes pixels uint8 (batch, n, n, 3). It gives the probability of a bear (batch,), and of a bear in each window of
    the last map (batch, rows, columns). Both are calibrated by dividing the logit by `temperature` (Guo et al. 2017).
    """

    def __init__(self, network: BearCNN, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        last_map = self.network.last_map(pixels.permute(0, 3, 1, 2))
        outputs = self.network.output_classes
        whole = bear_logit(self.network.logits(last_map), outputs) / self.temperature
        windows = bear_logit(self.network.class_activation_map(last_map), outputs) / self.temperature
        return whole.sigmoid(), windows.sigmoid()


def describe(
    config: Config, dataset: Dataset, best_epoch: int, *, temperature: float, body: PretrainedBody | None = None
) -> Manifest:
    """Build the manifest of a model file, without its scores, which are not known yet."""
    return Manifest(
        name=config.train.name,
        classes=dataset.classes,
        image_size=config.data.image_size,
        resize=config.data.resize,
        subclasses=dataset.subclasses()[0] if config.train.subclasses else ((0, ""), (1, "")),
        temperature=temperature,
        config=config.model_dump(mode="json"),
        data={"fingerprint": dataset.fingerprint, "counts": dataset.counts(), "best_epoch": best_epoch},
        body={**body.about, "trained_on": find_body(config.model.body).trained_on} if body else {},
        versions={
            "bearcnn": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "fastai", "onnx", "numpy", "pillow")},
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def calibrate(network: BearCNN, dataset: Dataset, config: Config) -> float:
    """Fit the temperature of a network on the validation photos (Guo et al. 2017).

    Of a photo of several pictures it is that of the best one's answer, which is the photo's.
    """
    rows, labels = dataset.arrays("valid")
    if dataset.regions == WHOLE_FRAMES:
        return fit_temperature(labels, predict_logits(network, network_inputs(network, dataset, config), rows))
    photos = dataset.select("valid")
    logits, _ = answer_best(logits_of(network), dataset, photos, config.data.resize, spread=map_batches)
    return fit_temperature(labels, logits)


def batches(photos: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Divide the photos into batches that fit into memory."""
    return np.array_split(photos, max(1, len(photos) // _BATCH_SIZE))


def run_onnx(model: bytes) -> Runner:
    """Make a runner of an ONNX model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # as predictions are computed: each batch by one thread
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def answer(photos: NDArray[np.uint8], _: list[Path]) -> NDArray[np.float32]:
        return np.concatenate(
            list(in_threads(lambda batch: session.run([OUTPUTS[0]], {INPUT: batch})[0], batches(photos)))
        )

    return answer


def run_torch(shipped: nn.Module) -> Runner:
    """Make a runner of a module with the inputs and outputs of `ShippedModel`."""

    @torch.no_grad()
    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(shipped(torch.from_numpy(batch))[0])

    def answer(photos: NDArray[np.uint8], _: list[Path]) -> NDArray[np.float32]:
        return np.concatenate(list(map_batches(compute, batches(photos))))

    return answer


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the exporters' notes to developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "root", "")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
