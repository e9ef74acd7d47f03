"""Writing of a threshold into the model files of a run, with the model's scores at that threshold."""

from dataclasses import asdict
from typing import Any

from bearcnn.config import MOVABLE, changed_keys, make_config
from bearcnn.errors import RunError
from bearcnn.evaluation.assessment import Assessment, evaluate_predictions
from bearcnn.evaluation.groups import group_errors
from bearcnn.evaluation.predictions import SCORED, in_split, read_predictions
from bearcnn.evaluation.sites import site_errors
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest, stamp_onnx, stamp_safetensors
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
    run.update_metrics(metrics)


def check_config(run: Run, manifest: Manifest) -> None:
    """Check that a finished run's configuration is the one that its model file was made with.

    Raises:
        RunError: it has changed since.
    """
    changed = changed_keys(make_config(manifest.config), run.config(), MOVABLE)
    if changed:
        raise RunError(f"{run.config_file} has changed since the model was made: {', '.join(changed)}; put it back")


def manifest_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the part of metrics.json for the model file: all but groups of photos, sites, layers and body."""
    return {name: value for name, value in metrics.items() if name not in ("layers", "groups", "sites", "body")}
