"""Writing of a threshold into the model files of a run, with the model's scores at that threshold."""

import json
from dataclasses import asdict
from typing import Any

from bearcnn.evaluation.assessment import Assessment, evaluate_predictions, group_errors
from bearcnn.evaluation.predictions import SCORED, in_split, read_predictions
from bearcnn.evaluation.sites import site_errors
from bearcnn.files import write_atomically
from bearcnn.manifest import read_manifest, stamp_onnx, stamp_safetensors
from bearcnn.runs import Run


def save_threshold(run: Run, assessment: Assessment) -> None:
    """Write the threshold of an assessment, or its two, into a run's model files and its metrics.json.

    Raises:
        ModelFileError: a model file is missing or damaged; nothing is changed then.
    """
    threshold = assessment.choice.threshold
    metrics, predictions = run.metrics(), read_predictions(run)
    for split in SCORED:
        photos = in_split(predictions, split)
        if photos:
            metrics["evaluations"][split] = evaluate_predictions(photos, threshold).to_json()
            metrics.setdefault("groups", {})[split] = [asdict(row) for row in group_errors(photos, threshold)]
            if sites := site_errors(photos, threshold):
                metrics.setdefault("sites", {})[split] = [asdict(row) for row in sites]
    metrics["choice"] = assessment.choice.to_json()
    metrics.pop("unsure", None)  # two thresholds don't outlive the one that they were chosen with
    unsure = None
    if assessment.unsure is not None:
        chosen = assessment.unsure.range
        metrics["unsure"], unsure = asdict(chosen), (chosen.lower, chosen.upper)
    changed = {"threshold": threshold, "unsure": unsure, "metrics": manifest_metrics(metrics)}
    model = stamp_onnx(run.onnx_file, read_manifest(run.onnx_file).model_copy(update=changed))
    manifest = read_manifest(run.weights_file).model_copy(update=changed)
    weights = stamp_safetensors(run.weights_file.read_bytes(), manifest)
    write_atomically(run.onnx_file, model, overwrite=True)
    write_atomically(run.weights_file, weights, overwrite=True)
    write_atomically(run.metrics_file, json.dumps(metrics, indent=1).encode(), overwrite=True)


def manifest_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the part of metrics.json for the model file: all but groups of photos, sites, layers and body."""
    return {name: value for name, value in metrics.items() if name not in ("layers", "groups", "sites", "body")}
