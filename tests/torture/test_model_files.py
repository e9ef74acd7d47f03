"""Thousands of mutated model files, configurations and lists, and what onnxruntime does over the network."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bearcnn.data.photos import find_photos
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.model.load import load_model, load_weights
from bearcnn.runs import Run
from bearcnn.training.checkpoint import best_file, last_file, read_checkpoint
from tests.helpers import probes
from tests.helpers.damaged_files import mutate_bytes
from tests.helpers.onnx_models import stamp_as_before
from tests.helpers.places import ROOT

pytestmark = [pytest.mark.torture, pytest.mark.timeout(3600)]

Figures = Callable[[str, object], None]


@pytest.fixture
def some(photos: Path) -> list[Path]:
    return list(find_photos(photos))[:6]


def tell(figures: Figures, what: str, found: dict[str, int]) -> None:
    figures(f"mutated {what}", ", ".join(f"{count:,} {how}" for how, count in sorted(found.items())))


def test_no_mutated_model_file_answers_otherwise(trained, some, tmp_path, figures: Figures) -> None:
    tell(figures, ".onnx", probes.try_many(probes.onnx_probe(trained[0].onnx_file, some[:4], tmp_path), 1000))


def test_no_mutated_weights_are_loaded(trained, tmp_path, figures: Figures) -> None:
    run = Run(Path(shutil.copytree(trained[0].directory, tmp_path / "run")))
    network = load_model(run.weights_file).network
    tell(
        figures, "model.safetensors", probes.try_many(probes.weights_probe(run.weights_file, load_model, tmp_path), 400)
    )
    best = probes.weights_probe(best_file(run), lambda file: load_weights(file, network), tmp_path)
    tell(figures, "checkpoints/best.safetensors", probes.try_many(best, 300))

    def read_last(file: Path) -> object:
        shutil.copyfile(file, last_file(run))
        return read_checkpoint(run)

    tell(
        figures,
        "checkpoints/last.safetensors",
        probes.try_many(probes.weights_probe(last_file(trained[0]), read_last, tmp_path), 400),
    )


def test_mutated_manifests(some, tmp_path, figures: Figures) -> None:
    tell(figures, "manifests", probes.try_many(probes.manifest_probe(some[:1], tmp_path), 1000))


def test_mutated_configurations(trained, tmp_path, figures: Figures) -> None:
    tell(figures, "config.toml", probes.try_many(probes.toml_probe(trained[0], tmp_path), 2000))


def test_mutated_lists(some, tmp_path, figures: Figures) -> None:
    tell(figures, "CSV lists", probes.try_many(probes.table_probe(some, tmp_path), 1000))
    tell(figures, "COCO files", probes.try_many(probes.coco_probe(some, tmp_path), 1000))
    tell(figures, "MegaDetector files", probes.try_many(probes.detections_probe(some, tmp_path), 1000))


def test_mutated_results(tmp_path, figures: Figures) -> None:
    tell(figures, "results", probes.try_many(probes.result_probe(tmp_path, False), 1000))
    tell(figures, "journals", probes.try_many(probes.result_probe(tmp_path, True), 1000))


# Files without a digest reach onnxruntime, which may be brought down: in processes of their own.
ANSWER = """
import json, sys
from pathlib import Path
from bearcnn.errors import BearcnnError
from bearcnn.inference.predictor import Predictor, predict_photos
for line in sys.stdin:
    file, *photos = json.loads(line)
    try:
        said = [each.probability for each in predict_photos(Predictor(file, threads=1), map(Path, photos), workers=1)]
    except BearcnnError as error:
        said = str(error)
    print(json.dumps(said), flush=True)
"""


def test_a_mutated_file_from_before_there_were_digests_brings_nothing_down(
    trained, some, tmp_path, figures: Figures
) -> None:
    import onnx

    proto = onnx.load(trained[0].onnx_file)
    manifest = Predictor(trained[0].onnx_file).manifest
    whole = stamp_as_before(proto.SerializeToString(), manifest)
    (tmp_path / "whole.onnx").write_bytes(whole)
    before = [each.probability for each in predict_photos(Predictor(tmp_path / "whole.onnx"), some[:2])]
    found = {"refused": 0, "same": 0, "other answers": 0}
    file = tmp_path / "mutated.onnx"
    process: subprocess.Popen[str] | None = None
    for number in range(1000):
        file.write_bytes(mutate_bytes(whole, random.Random(number)))
        if process is None:
            process = subprocess.Popen(
                [sys.executable, "-c", ANSWER], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([str(file), *map(str, some[:2])]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"number {number} ended the process with {process.wait()}"
        said: Any = json.loads(line)
        found["refused" if isinstance(said, str) else "same" if said == before else "other answers"] += 1
    assert process is not None
    process.communicate()
    assert process.returncode == 0
    tell(figures, ".onnx without a digest (versions before)", found)
