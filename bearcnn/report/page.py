"""A run's report: `gather` reads its files, `render` makes one HTML page without other files."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from bearcnn.evaluation.notable import surest_answers
from bearcnn.evaluation.predictions import LabelledPrediction, for_scores, for_threshold, read_predictions
from bearcnn.evaluation.thresholds import Choice
from bearcnn.evaluation.wording import PHOTOS, difference, interval, is_default, metric_words, share, threshold_origin
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest
from bearcnn.pages import load_template
from bearcnn.report.charts import draw_learning, draw_precision_recall, draw_reliability, draw_roc, draw_scores
from bearcnn.report.svg import draw_whisker
from bearcnn.report.threshold_tool import MOST_SITES, label, make_tool, of_thousand
from bearcnn.report.thumbnails import Thumbnail, make_thumbnails
from bearcnn.report.verdict import judge, name_way_out, suggest_threshold, too_few
from bearcnn.runs import EpochRecord, Run


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
    thumbnails: list[Thumbnail]  # of the worst mistakes
    surest: list[Thumbnail]  # of right answers
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
        judged,
        judged[0].split,
        choice,
        policy,
        trained_on=judged[0].split,
        monitor=metrics.get("monitor", ""),
        body=manifest.body,
    )
    surest = surest_answers(judged, choice.threshold)
    drawn = make_thumbnails([*assessment.mistakes, *surest], Path(record["root"]), run.onnx_file) if thumbnails else []
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
        thumbnails=drawn[: len(assessment.mistakes)],
        surest=drawn[len(assessment.mistakes) :],
        model_bytes=run.onnx_file.stat().st_size,
    )


def render(data: ReportData) -> str:
    """Return the page as HTML; the template escapes every value."""
    assessment, manifest = data.assessment, data.manifest
    point = assessment.point
    verdict, few = judge(assessment.evaluation, point, manifest.classes[1]), too_few(assessment.evaluation)
    better = suggest_threshold(assessment.choice, data.validation, data.predictions)
    tool = make_tool(data.predictions, data.validation, assessment, better[0].threshold if better else None)
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
        verdict=verdict,
        way_out=name_way_out(better[1]) if better and not few and verdict[0] != "good" else None,
        origin=threshold_origin(assessment.choice, manifest.classes[1]),
        licence_warning=warn_of_licence(manifest.body["licence"]) if manifest.body else "",
        is_default=is_default(assessment.choice),
        better=better,
        few=few,
        pointing=PointingGame.from_metrics(data.metrics),
        learning=draw_learning(data.history, data.metrics["best_epoch"]),
        roc=draw_roc(assessment.evaluation, data.predictions),
        precision_recall=draw_precision_recall(assessment.evaluation, data.predictions),
        reliability=draw_reliability(data.calibration, assessment.choice.threshold),
        histogram=draw_scores(data.predictions, manifest.classes, assessment.choice.threshold),
        tool=tool,
        shown=tool.shown_at(tool.start),
        like_bears=of_thousand(1000 * tool.bears / len(data.predictions)),
        most_sites=MOST_SITES,
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
        "label": label,
        "difference": difference,
        "words": metric_words,
        "breakable": breakable,
    }
    return load_template("bearcnn.report", name, filters)


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
