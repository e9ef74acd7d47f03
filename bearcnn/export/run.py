"""Run -> ONNX, int8 ONNX, torch.export, safetensors, fastai; and how far each is from the network that was trained.

What ships takes photos as they are (uint8, height x width x channels) and gives probabilities, so that whoever runs it
has nothing to prepare and nothing to get wrong.
"""

import bearcnn._torch  # noqa: F401

# isort: split
import io
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from bearcnn.data.dataset import Dataset
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.metrics import score
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest, safetensors_metadata, stamp_onnx
from bearcnn.model.network import BearCNN, bear_logit, build_model, class_logits, load_weights
from bearcnn.runs import Run

Format = Literal["onnx", "int8", "pt2", "safetensors", "fastai"]
SUFFIXES: dict[Format, str] = {
    "onnx": ".onnx",
    "int8": "-int8.onnx",
    "pt2": ".pt2",
    "safetensors": ".safetensors",
    "fastai": ".pkl",
}

CALIBRATION_PHOTOS = 128
PARITY_PHOTOS = 256

INPUT = "pixels"
OUTPUTS = ("probability", "window_probability")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and how it differs from the network that was trained, measured on validation photos."""

    file: Path
    format: Format
    bytes: int
    photos: int
    largest_difference: float  # of a photo's probability
    roc_auc: float
    roc_auc_trained: float  # of the float network
    bytes_onnx: int  # of the float ONNX file
    speed: float  # photos per second, as a multiple of the float ONNX file's; NaN where that isn't what runs


class ShippedModel(nn.Module):
    """The network with its answers in probabilities.

    Pixels uint8 (batch, n, n, 3) in; out the probability of a bear (batch,), and of a bear in each window of the last
    map (batch, rows, columns). Both are calibrated by dividing the logit by `temperature` (Guo et al. 2017).
    """

    def __init__(self, network: BearCNN, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        last_map = self.network.last_map(pixels.permute(0, 3, 1, 2))
        outputs = self.network.output_classes
        whole = bear_logit(self.network.logits(last_map), outputs) / self.temperature
        windows = bear_logit(self.network.window_logits(last_map), outputs) / self.temperature
        return whole.sigmoid(), windows.sigmoid()


def to_onnx(network: BearCNN, manifest: Manifest) -> bytes:
    """The network as one ONNX file, its manifest in the metadata, for any number of photos at a time."""
    example = torch.zeros(2, manifest.image_size, manifest.image_size, 3, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            ShippedModel(network, manifest.temperature).eval(),
            (example,),
            dynamo=True,
            external_data=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    return stamp_onnx(program.model_proto.SerializeToString(), manifest)


def to_int8(onnx_model: bytes, manifest: Manifest, calibration: NDArray[np.uint8]) -> bytes:
    """An ONNX model whose convolutions compute with 8-bit integers.

    Weights get one scale a channel; activations a range measured on real photos, `calibration` (photos, n, n, 3).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Photos(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.uint8]] = iter(
                np.array_split(calibration, max(1, len(calibration) // 16))
            )

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder, _quiet_exporter():
        source, prepared, result = (Path(folder) / name for name in ("model.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(onnx_model)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            Photos(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "MaxPool", "AveragePool", "Add", "Concat"],
            per_channel=True,
            # Unsigned activations and 7-bit weights stay exact on processors without VNNI too.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return stamp_onnx(result, manifest.model_copy(update={"quantized": True}))


def to_safetensors(network: BearCNN, manifest: Manifest) -> bytes:
    """The weights, with the manifest in the header."""
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return save(weights, safetensors_metadata(manifest))


def to_pt2(network: BearCNN, manifest: Manifest) -> bytes:
    """The network as torch.export's program, with the manifest as an extra file; no Python code of ours is needed."""
    example = torch.zeros(2, manifest.image_size, manifest.image_size, 3, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.export.export(
            ShippedModel(network, manifest.temperature).eval(),
            (example,),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={"bearcnn.json": manifest.model_dump_json()})
    return buffer.getvalue()


class _FastaiModel(nn.Module):
    """The network as fastai expects it: pixels float (batch, 3, n, n) of 0 to 1 in, logits (batch, 2) out."""

    def __init__(self, network: BearCNN, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, pixels: Tensor) -> Tensor:
        return class_logits(self.network(pixels * 255), self.network.output_classes) / self.temperature


def to_fastai(network: BearCNN, manifest: Manifest, photos: list[Path]) -> bytes:
    """A pickled fastai Learner for `load_learner`, whose `predict` takes a photo's path.

    It needs bearcnn installed where it is loaded. fastai decodes by its own rules (no EXIF turning), so its answers
    differ a little from bearcnn's.
    """
    from fastai.data.transforms import IntToFloatTensor
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.vision.augment import Resize, ResizeMethod
    from fastai.vision.data import CategoryBlock, ImageDataLoaders

    method = {"squish": ResizeMethod.Squish, "crop": ResizeMethod.Crop, "pad": ResizeMethod.Pad}[manifest.resize]
    # fastai learns the two class names from labels; which photo carries which doesn't matter here.
    names = [manifest.classes[number % 2] for number in range(len(photos))]
    loaders = ImageDataLoaders.from_lists(
        ".", photos, names, valid_pct=0.5, seed=0, bs=2, num_workers=0,
        y_block=CategoryBlock(vocab=list(manifest.classes), sort=False),
        item_tfms=Resize(manifest.image_size, method), batch_tfms=IntToFloatTensor(),
    )  # fmt: skip
    learner = Learner(
        loaders, _FastaiModel(network, manifest.temperature), loss_func=CrossEntropyLossFlat(), default_cbs=False
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "learner.pkl"
        learner.export(path)
        return path.read_bytes()


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporters' notes to their developers away from the user."""
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


def export_run(run: Run, dataset: Dataset, target: Format, out: Path) -> ExportReport:
    """Write a run's best epoch in another format, and measure on validation photos what that changed.

    Raises:
        BearcnnError: `out` exists already or can't be written; the run has no weights.
    """
    if out.exists():
        raise BearcnnError(f"{out} exists already; nothing is ever overwritten: choose another --out")
    config = run.config()
    manifest = read_manifest(run.weights_file)
    outputs = manifest.output_classes
    network = build_model(config.model, outputs).eval()
    load_weights(run.weights_file, network)
    rows, labels = dataset.arrays("valid")
    chosen = np.random.default_rng(0).permutation(len(rows))[:PARITY_PHOTOS]
    rows, labels = rows[np.sort(chosen)], labels[np.sort(chosen)]
    photos = dataset.pixels[rows]
    float_model = to_onnx(network, manifest)
    if target == "onnx":
        content, answer = float_model, _onnx_runner(float_model)
    elif target == "int8":
        content = to_int8(float_model, manifest, _calibration_photos(dataset))
        answer = _onnx_runner(content)
    elif target == "pt2":
        content = to_pt2(network, manifest)
        answer = _torch_runner(torch.export.load(io.BytesIO(content)).module())
    elif target == "safetensors":
        content = to_safetensors(network, manifest)
        again = build_model(config.model, outputs).eval()
        again.load_state_dict(load(content))
        answer = _torch_runner(ShippedModel(again, manifest.temperature))
    else:
        examples = dataset.select("valid")
        paths = [examples[number].path for number in np.sort(chosen)]
        content = to_fastai(network, manifest, paths[:4])
        answer = _fastai_runner(content, paths)
    trained = _torch_runner(ShippedModel(network, manifest.temperature))(photos)
    exported = answer(photos)
    speed = _relative_speed(_onnx_runner(float_model), answer, photos) if target == "int8" else math.nan
    write_atomically(out, content)
    return ExportReport(
        file=out,
        format=target,
        bytes=len(content),
        photos=len(photos),
        largest_difference=float(np.abs(exported - trained).max()),
        roc_auc=score(labels, exported)["roc_auc"],
        roc_auc_trained=score(labels, trained)["roc_auc"],
        bytes_onnx=len(float_model),
        speed=speed,
    )


Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def _onnx_runner(model: bytes) -> Runner:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([session.run([OUTPUTS[0]], {INPUT: batch})[0] for batch in _batches(photos)])

    return run


def _torch_runner(shipped: nn.Module) -> Runner:
    def run(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.concatenate([shipped(torch.from_numpy(batch))[0].numpy() for batch in _batches(photos)])

    return run


def _fastai_runner(content: bytes, paths: list[Path]) -> Runner:
    from fastai.learner import load_learner

    def run(_: NDArray[np.uint8]) -> NDArray[np.float32]:  # fastai decodes the photos itself
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is a pickle: the user is told, and this one is our own
            learner = load_learner(io.BytesIO(content))
        probabilities, _ = learner.get_preds(dl=learner.dls.test_dl(paths, num_workers=0))
        return np.asarray(probabilities[:, 1], np.float32)

    return run


def _batches(photos: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return np.array_split(photos, max(1, len(photos) // 16))


def _calibration_photos(dataset: Dataset) -> NDArray[np.uint8]:
    rows, _ = dataset.arrays("train")
    chosen = np.random.default_rng(0).permutation(len(rows))[:CALIBRATION_PHOTOS]
    return np.asarray(dataset.pixels[np.sort(rows[chosen])])


def _relative_speed(before: Runner, after: Runner, photos: NDArray[np.uint8], rounds: int = 7) -> float:
    """How many times as fast `after` is: the median over rounds that measure one right after the other."""
    ratios = []
    for _ in range(rounds):
        seconds = []
        for run in (before, after):
            start = time.perf_counter()
            run(photos)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))
