"""A run's report: `gather` reads its files, `render` makes one HTML page without other files."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Template
from markupsafe import Markup

from bearcnn.bodies import warn_of_licence
from bearcnn.data.groups import describe_grouping
from bearcnn.data.splits import FOLDS
from bearcnn.errors import RunError
from bearcnn.evaluation.assessment import (
    Assessment,
    ThresholdPolicy,
    assess,
    assess_calibration,
    choose_threshold,
)
from bearcnn.evaluation.formats import decimal, per_thousand, percent, signed
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.localization import PointingGame
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays, for_scores, for_threshold, read_predictions
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.wording import PHOTOS, difference, interval, is_default, metric_words, share, threshold_origin
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest
from bearcnn.pages import load_template
from bearcnn.report.charts import draw_learning, draw_precision_recall, draw_reliability, draw_scores
from bearcnn.report.svg import draw_whisker
from bearcnn.report.thumbnails import Thumbnail, make_thumbnails
from bearcnn.report.verdict import judge, suggest_threshold, too_few
from bearcnn.runs import EpochRecord, Run

_SLIDER_STEPS = 400


@dataclass(frozen=True, slots=True)
class ReportData:
    """The content of the page."""

    place: str  # the run's folder
    manifest: Manifest
    history: list[EpochRecord]
    metrics: dict[str, Any]
    record: dict[str, Any]  # dataset.json
    predictions: list[LabelledPrediction]  # of the photos that the page scores
    validation: list[LabelledPrediction]
    assessment: Assessment
    calibration: dict[str, Any]
    thumbnails: list[Thumbnail]
    model_bytes: int


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write a run's page, by default as report.html into the run, and return the file.

    Raises:
        RunError: the run isn't finished, or it is from a version without predictions.
        BearcnnError: the file can't be written, or `out` exists already.
    """
    page = render(gather(run))
    file = out or run.report_file
    # A file name in another encoding must not stop the report.
    write_atomically(file, page.encode("utf-8", "backslashreplace"), overwrite=out is None)
    return file


def gather(run: Run, thumbnails: bool = True) -> ReportData:
    """Read the page's content from the run, and its worst photos from the data set's folder."""
    metrics, record, predictions = run.metrics(), run.dataset_record(), read_predictions(run)
    manifest = read_manifest(run.onnx_file)
    validation, judged = for_threshold(predictions), for_scores(predictions)
    if not judged:
        raise RunError(f"{run.directory} has neither validation nor test photos: there is nothing to report")
    policy = ThresholdPolicy()
    if "choice" in metrics:
        choice = Choice(**metrics["choice"])
        if choice.rule == "target_recall":
            policy = ThresholdPolicy(target_recall=choice.wanted)
    else:
        choice = choose_threshold(policy, validation, manifest.threshold)
    assessment = assess(
        judged, judged[0].split, choice, policy, trained_on=judged[0].split, monitor=metrics.get("monitor", ""),
        body=manifest.body,
    )  # fmt: skip
    return ReportData(
        place=str(run.directory),
        manifest=manifest,
        history=run.history(),
        metrics=metrics,
        record=record,
        predictions=judged,
        validation=validation,
        assessment=assessment,
        calibration=metrics.get("calibration") or assess_calibration(predictions, manifest.temperature),
        thumbnails=make_thumbnails(assessment.mistakes, Path(record["root"]), run.onnx_file) if thumbnails else [],
        model_bytes=run.onnx_file.stat().st_size,
    )


def render(data: ReportData) -> str:
    """Return the page as HTML; the template escapes every value."""
    assessment, manifest = data.assessment, data.manifest
    point = assessment.point
    page: str = template("report.html").render(
        data=data,
        manifest=manifest,
        negative=manifest.classes[0],
        positive=manifest.classes[1],
        evaluation=assessment.evaluation,
        assessment=assessment,
        photos=PHOTOS[assessment.split],
        validation=PHOTOS[FOLDS if data.metrics.get("folds") else "valid"],
        point=point,
        verdict=judge(assessment.evaluation, point, manifest.classes[1]),
        origin=threshold_origin(assessment.choice, manifest.classes[1]),
        licence_warning=warn_of_licence(manifest.body["licence"]) if manifest.body else "",
        is_default=is_default(assessment.choice),
        better=suggest_threshold(assessment.choice, data.validation, data.predictions),
        few=too_few(assessment.evaluation),
        pointing=PointingGame.from_metrics(data.metrics),
        learning=draw_learning(data.history, data.metrics["best_epoch"]),
        precision_recall=draw_precision_recall(assessment.evaluation, data.predictions),
        reliability=draw_reliability(data.calibration),
        histogram=draw_scores(data.predictions, manifest.classes, assessment.choice.threshold),
        slider=slider_steps(data.predictions, assessment.choice.threshold),
        counts=_count(data.record),
        grouping=_describe_grouping(data.metrics),
        grouping_warnings=data.record.get("grouping", {}).get("warnings", {}),
        reasons=_reasons(data.record["skipped"]),
        command=shlex.quote(data.place),
        whisker=_whisker,
    )
    return page


def template(name: str) -> Template:
    """Load a page's template, which escapes every value and raises for an unknown name."""
    filters = {
        "percent": percent,
        "per_thousand": per_thousand,
        "decimal": decimal,
        "signed": signed,
        "interval": interval,
        "share": share,
        "difference": difference,
        "words": metric_words,
        "breakable": breakable,
    }
    return load_template("bearcnn.report", name, filters)


def slider_steps(predictions: list[LabelledPrediction], chosen: float) -> dict[str, Any]:
    """Return the slider's thresholds, and at each the number of bears found and of false alarms.

    The thresholds are spread over the photos, not over 0 to 1: every step changes an answer.
    """
    labels, probabilities = as_arrays(predictions)
    places = np.unique(np.quantile(probabilities, np.linspace(0, 1, _SLIDER_STEPS), method="nearest"))
    between = (places[1:] + places[:-1]) / 2
    thresholds = np.unique([0.0, *between, chosen, min(1.0, float(places[-1]) + (1 - float(places[-1])) / 2 + 1e-9)])
    found = [int((probabilities[labels == 1] >= threshold).sum()) for threshold in thresholds]
    alarms = [int((probabilities[labels == 0] >= threshold).sum()) for threshold in thresholds]
    return {
        "steps": [list(step) for step in zip(thresholds.tolist(), found, alarms, strict=True)],
        "start": int(np.flatnonzero(thresholds == chosen)[0]),
        "bears": int(labels.sum()),
        "others": int(len(labels) - labels.sum()),
    }


def _count(record: dict[str, Any]) -> list[tuple[str, int, int]]:
    rows = []
    for split in ("train", "valid", "test"):
        labels = [example["label"] for example in record["examples"] if example["split"] == split]
        if labels:
            rows.append((split, sum(labels), len(labels) - sum(labels)))
    return rows


def _describe_grouping(metrics: dict[str, Any]) -> str | None:
    found = metrics.get("grouping")
    return describe_grouping(found["by"], found) if found else None


def _reasons(skipped: list[dict[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for photo in skipped:
        # The reason of a copy names the other photo; all copies count as one reason.
        sort = photo["reason"].partition(" of ")[0] if photo["reason"].startswith("exact copy") else photo["reason"]
        reasons.setdefault(sort, []).append(photo["path"])
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))


def _whisker(estimate: Estimate) -> Markup:
    return draw_whisker(estimate.value, estimate.low, estimate.high, f"{share(estimate)}")


def breakable(path: str) -> Markup:
    """Return a path with a possible line break after each folder."""
    return Markup("/<wbr>").join(path.split("/"))
