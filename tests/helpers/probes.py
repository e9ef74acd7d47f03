"""Mutated files through the real readers: each is refused in words, or read as what it says.

A probe returns "refused", "same" (it answers as the whole file does) or "read" (it says something else, and that is
what is read). Anything but a `BearcnnError` of one line for each problem is the test's failure.
"""

import csv
import io
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bearcnn.config import dump_config, load_config
from bearcnn.data.megadetector import read_detections
from bearcnn.data.sources import list_source
from bearcnn.errors import BearcnnError
from bearcnn.inference.answered import read_answered
from bearcnn.inference.journal import open_journal
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.inference.windows import find_windows
from bearcnn.manifest import read_manifest, stamp_onnx
from bearcnn.runs import Run
from tests.helpers.damaged_files import dump_mutated, mutate_bytes
from tests.helpers.onnx_models import brightness_model, make_manifest, stamp_as_before

Probe = Callable[[random.Random], str]

LONGEST = 5.0
"""Seconds that a reader may take for one small file."""


def try_many(probe: Probe, count: int, seed: int = 0) -> Counter[str]:
    """Call a probe with many seeds; count what came out, and the seconds of the slowest."""
    found: Counter[str] = Counter()
    for number in range(count):
        start = time.monotonic()
        try:
            found[probe(random.Random(1_000_003 * seed + number))] += 1
        except BearcnnError as error:
            assert str(error).strip(), f"seed {seed}, number {number}: an error without words"
            assert "Traceback" not in str(error)
            found["refused"] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, number {number}: {type(error).__name__}: {error}") from error
        assert time.monotonic() - start < LONGEST, f"seed {seed}, number {number} takes too long"
    return found


def onnx_probe(file: Path, photos: list[Path], folder: Path) -> Probe:
    """A model file with a digest: never another answer."""
    whole, before = file.read_bytes(), _answers(file, photos)

    def probe(chance: random.Random) -> str:
        changed = mutate_bytes(whole, chance)
        (folder / "mutated.onnx").write_bytes(changed)
        answers = _answers(folder / "mutated.onnx", photos)
        assert answers == before, "it answers otherwise in silence"
        return "same"

    return probe


def manifest_probe(photos: list[Path], folder: Path) -> Probe:
    """A manifest with other values, as a stranger may write it: with a right digest, and as before there were any."""
    fields = make_manifest(
        config={"data": {"tiles": 2}, "model": {"widths": [8, 16], "kernel_size": 3}},
        metrics={"test": {"auc": 0.5}},
        body={"name": "efficientnet_lite0", "licence": "Apache-2.0"},
        unsure=(0.2, 0.8),
        data={"counts": {"train": 1}},
    ).model_dump(mode="json")
    whole, file = stamp_as_before(brightness_model(), make_manifest()), folder / "manifest.onnx"
    text = make_manifest().model_dump_json(exclude={"digest"}).encode()
    assert text in whole

    def probe(chance: random.Random) -> str:
        import onnx

        proto = onnx.load_model_from_string(whole)
        mutated = dump_mutated(fields, chance)
        try:
            onnx.helper.set_model_props(proto, {"bearcnn": mutated.decode()})
        except (UnicodeDecodeError, ValueError):
            return "refused"  # no text: it can't be written
        file.write_bytes(proto.SerializeToString())
        manifest = read_manifest(file)
        find_windows(manifest, 4)
        _answers(file, photos)
        file.write_bytes(stamp_onnx(brightness_model(manifest.image_size), manifest))
        assert read_manifest(file).classes == manifest.classes
        return "read"

    return probe


def weights_probe(file: Path, load: Callable[[Path], Any], folder: Path) -> Probe:
    """A safetensors file with a digest: never other weights."""
    whole = file.read_bytes()

    def probe(chance: random.Random) -> str:
        changed = mutate_bytes(whole, chance)
        (folder / "mutated.safetensors").write_bytes(changed)
        load(folder / "mutated.safetensors")
        assert changed == whole, "damaged weights are loaded in silence"
        return "same"

    return probe


def toml_probe(run: Run, folder: Path) -> Probe:
    """A configuration file, changed as bytes."""
    whole, file = dump_config(run.config(), explained=True).encode(), folder / "config.toml"

    def probe(chance: random.Random) -> str:
        changed = mutate_bytes(whole, chance)
        for old, new in ((b"3", b"[" * 2_000), (b"128", b"9" * 5_000), (b'"bear"', b'"\\u001b[2J"'), (b"0.2", b"nan")):
            if chance.random() < 0.05:
                changed = changed.replace(old, new, 1)
        file.write_bytes(changed)
        load_config(file)
        return "read"

    return probe


def table_probe(photos: list[Path], folder: Path) -> Probe:
    """A CSV file of labels."""
    buffer = io.StringIO()
    rows = [
        [str(photo), ("bear", "wolf")[number % 2], "a", "2024-01-31 23:59:00"] for number, photo in enumerate(photos)
    ]
    csv.writer(buffer).writerows([["filepath", "label", "site", "datetime"], *rows])
    return _labels_probe(folder / "labels.csv", lambda chance: mutate_bytes(buffer.getvalue().encode(), chance))


def coco_probe(photos: list[Path], folder: Path) -> Probe:
    """A COCO Camera Traps file."""
    document = {
        "images": [
            {"id": number, "file_name": str(photo), "location": "a", "datetime": "2024-01-31 23:59:00", "seq_id": "s"}
            for number, photo in enumerate(photos)
        ],
        "annotations": [{"id": number, "image_id": number, "category_id": number % 2} for number in range(len(photos))],
        "categories": [{"id": 0, "name": "bear"}, {"id": 1, "name": "wolf"}],
    }
    return _labels_probe(folder / "labels.json", lambda chance: dump_mutated(document, chance))


def _labels_probe(file: Path, make: Callable[[random.Random], bytes]) -> Probe:
    def probe(chance: random.Random) -> str:
        file.write_bytes(make(chance))
        listing = list_source(str(file), ("bear",))
        for photo in listing.labelled:
            photo.subclass.encode()  # it will be written
            assert photo.label in (0, 1)
        return "read"

    return probe


def detections_probe(photos: list[Path], folder: Path) -> Probe:
    """A file of MegaDetector."""
    box = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}
    document = {
        "info": {"format_version": "1.6", "detector_metadata": {"typical_detection_threshold": 0.2}},
        "detection_categories": {"1": "animal", "2": "person"},
        "images": [{"file": photo.name, "detections": [box, {**box, "category": "2"}]} for photo in photos],
    }

    def probe(chance: random.Random) -> str:
        (folder / "md.json").write_bytes(dump_mutated(document, chance))
        boxes = read_detections(folder / "md.json").boxes([photos[0].parent])
        for found in boxes.values():
            assert all(0 <= side <= 1 for box in found or () for side in box)
        return "read"

    return probe


def result_probe(folder: Path, journal: bool) -> Probe:
    """An earlier result, or the journal of an interrupted prediction."""
    rows = [asdict(Prediction(f"{number}.jpg", 0.5, "bear", None)) | {"state": [1, 2]} for number in range(5)]
    head = {"bearcnn_journal": 1, "model": "m", "settings": {}}
    file = folder / ("bears.jsonl.partial.jsonl" if journal else "bears.jsonl")

    def probe(chance: random.Random) -> str:
        lines = [json.dumps(head).encode()] * journal + [json.dumps(row).encode() for row in rows]
        place = chance.randrange(len(lines))
        lines[place] = dump_mutated(json.loads(lines[place]), chance)
        content = b"\n".join(lines) + b"\n"
        file.write_bytes(mutate_bytes(content, chance) if chance.random() < 0.3 else content)
        if not journal:
            read_answered(file).check_columns(tuple(rows[0]))
            return "read"
        with open_journal(file, "m", {}, resume=True) as opened:
            for _, prediction in opened.known.values():
                assert prediction.probability is None or 0 <= prediction.probability <= 1
                assert isinstance(prediction.path, str)
        return "read"

    return probe


def _answers(file: Path, photos: list[Path]) -> list[tuple[float | None, str | None]]:
    found = predict_photos(Predictor(file), photos, on_windows=lambda *_: None)
    answers = [(each.probability, each.label) for each in found]
    assert all(probability is None or np.isfinite(probability) for probability, _ in answers)
    return answers
