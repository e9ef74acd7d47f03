"""Export of a run's best epoch, compared with the trained network."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.dataset import Dataset
from bearcnn.data.splits import Split
from bearcnn.errors import BearcnnError, DataError
from bearcnn.evaluation.metrics import score
from bearcnn.export.base import Exported, ExportSource, Runner, run_onnx, run_torch
from bearcnn.export.onnx import to_onnx
from bearcnn.files import write_atomically
from bearcnn.formats import EXPORT_FORMATS
from bearcnn.inference.stamp import check_config
from bearcnn.model.load import load_model
from bearcnn.registry import load
from bearcnn.runs import Run, open_run

PARITY_PHOTOS = 1024
PARITY_NOISE = 32
"""Pictures of noise that the file is compared on where the run's photos are gone."""

SPEED_PHOTOS = 64


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The exported file, and its differences from the trained network on validation photos, else on training photos.

    Where the photos are gone, they are those on pictures of noise, whose AUC is NaN.
    """

    file: Path
    format: str
    bytes: int
    photos: int
    split: Split | None  # of the photos; None for noise
    largest_difference: float  # of a photo's probability
    mean_difference: float
    roc_auc: float
    roc_auc_trained: float  # of the float network
    bytes_onnx: int  # of the float ONNX file
    speed: float  # photos per second, as a multiple of the float ONNX file's; NaN if not measured


def export(
    run: Run | Path | str | None,
    target: str,
    out: Path | str | None = None,
    *,
    dataset: Dataset | None = None,
    allow_loss: bool = False,
    runtime: Path | str | None = None,
) -> ExportReport:
    """Write a run's best epoch in another format, and compare the file with the trained network.

    Where the run's photos are missing or have changed, and the format doesn't need them, both see noise.

    Args:
        run: a finished run or its folder; None for the newest.
        target: "onnx", "int8", "pt2", "safetensors", "fastai", "html", "html-int8", or any other name in
            `formats.EXPORT_FORMATS`.
        out: the file to write; <name of the model><suffix of the format> in the current folder unless given.
        dataset: the run's photos, if they are open already.
        allow_loss: write the file even if it ranks the validation photos worse than the format's `largest_loss` allows.
        runtime: the folder of onnxruntime-web, for a page; unless given it comes from the cache, or once by npm.

    Raises:
        BearcnnError: there is no such format; `out` exists already or can't be written; the loss is too large.
        RunError, ModelFileError: there is no such run, or its weights are missing or damaged.
        DataError: the run's photos are missing or have changed, and the format needs them.
        MissingPackageError: npm is missing or can't fetch onnxruntime-web.
    """
    run = run if isinstance(run, Run) else open_run(run)
    file = Path(out) if out is not None else Path(run.config().train.name + EXPORT_FORMATS[target].suffix)
    if dataset is None:
        try:
            dataset = Dataset.from_record(run.dataset_record(), run.config().data)
        except DataError:
            if EXPORT_FORMATS[target].needs_photos:
                raise
    folder = None if runtime is None else Path(runtime)
    return export_run(run, dataset, target, file, allow_loss=allow_loss, runtime=folder)


def export_run(
    run: Run,
    dataset: Dataset | None,
    target: str,
    out: Path,
    *,
    allow_loss: bool = False,
    runtime: Path | None = None,
) -> ExportReport:
    """Write the best epoch of a run with an open data set in another format, and compare the two.

    Args:
        run: a finished run.
        dataset: its photos, or None for a format that doesn't need them.
        target: a name in `EXPORT_FORMATS`.
        out: the file to write.
        allow_loss: as in `export`.
        runtime: as in `export`.

    Raises:
        BearcnnError: there is no such format; `out` exists already or can't be written; the run has no weights; the
            loss is too large; `runtime` is given for a format without one, or its files are others.
        MissingPackageError: npm is missing or can't fetch onnxruntime-web.
    """
    row = EXPORT_FORMATS[target]
    if out.exists():
        raise BearcnnError(f"{out} exists already; nothing is ever overwritten: choose another file")
    if runtime is not None and not row.needs_runtime:
        raise BearcnnError(f"a {target} file holds no onnxruntime-web: omit --runtime, or choose --format html")
    trained = load_model(run.weights_file)
    check_config(run, trained.manifest)
    float_onnx = to_onnx(trained.network, trained.manifest)
    source = ExportSource(trained.network, trained.manifest, trained.config, dataset, float_onnx, runtime)
    split, pixels, labels, paths = _choose(dataset, trained.manifest.image_size)
    result: Exported = load(row.exporter)(source)
    before, after = run_torch(source.shipped)(pixels, paths), result.answer(pixels, paths)
    auc, auc_trained = (score(labels, each)["roc_auc"] if split else math.nan for each in (after, before))
    if auc_trained - auc > row.largest_loss and not allow_loss:
        raise BearcnnError(
            f"the {target} file is not written: on {len(pixels):,} validation photos it loses {auc_trained - auc:.4f} "
            f"of the ROC AUC ({auc_trained:.4f} to {auc:.4f}), more than {row.largest_loss:g}; use the float file, "
            f"{run.onnx_file}, or add `allow_loss`"
        )
    few, few_paths = pixels[:SPEED_PHOTOS], paths[:SPEED_PHOTOS]
    speed = _relative_speed(run_onnx(float_onnx), result.answer, few, few_paths) if row.measure_speed else math.nan
    write_atomically(out, result.content)
    return ExportReport(
        file=out,
        format=target,
        bytes=len(result.content),
        photos=len(pixels),
        split=split,
        largest_difference=float(np.abs(after - before).max()),
        mean_difference=float(np.abs(after - before).mean()),
        roc_auc=auc,
        roc_auc_trained=auc_trained,
        bytes_onnx=len(float_onnx),
        speed=speed,
    )


def _choose(
    dataset: Dataset | None, side: int
) -> tuple[Split | None, NDArray[np.uint8], NDArray[np.int64], list[Path]]:
    """Choose what a file is compared on, always the same: split, pixels (photos, n, n, 3), labels (photos,), paths."""
    random = np.random.default_rng(0)
    if dataset is None:
        noise = random.integers(0, 256, (PARITY_NOISE, side, side, 3), np.uint8)
        return None, noise, np.zeros(PARITY_NOISE, np.int64), []
    split: Split = "valid" if dataset.select("valid") else "train"
    rows, labels = dataset.arrays(split)
    chosen = np.sort(random.permutation(len(rows))[:PARITY_PHOTOS])
    examples = dataset.select(split)
    paths = [examples[number].path for number in chosen]
    return split, np.asarray(dataset.pixels[rows[chosen]]), labels[chosen], paths


def _relative_speed(
    before: Runner, after: Runner, pixels: NDArray[np.uint8], paths: list[Path], rounds: int = 7
) -> float:
    """Measure how many times as fast `after` is: the median over rounds that measure both in turn."""
    ratios = []
    for _ in range(rounds):
        seconds = []
        for answer in (before, after):
            start = time.perf_counter()
            answer(pixels, paths)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios))
