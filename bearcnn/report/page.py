"""A run's files -> one HTML page that stands alone: `gather` reads, `render` writes text and touches nothing.

It needs no network, no torch and no matplotlib, so that a page can be made beside the camera.
"""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from bearcnn.errors import RunError
from bearcnn.evaluation.assessment import (
    Judgement,
    PhotoScore,
    Rule,
    as_arrays,
    choose,
    in_split,
    judge,
    judge_calibration,
    read_scores,
)
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import Evaluation
from bearcnn.evaluation.thresholds import Choice, OperatingPoint, choose_for_recall, operating_point
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest
from bearcnn.report.charts import draw_learning, draw_precision_recall, draw_reliability, draw_scores
from bearcnn.report.svg import draw_whisker
from bearcnn.report.thumbnails import Thumbnail, make_thumbnails
from bearcnn.runs import EpochRecord, Run

if TYPE_CHECKING:
    from jinja2 import Template

GOOD_RECALL = 0.95
"""The share of bears from which the verdict calls a model fit for use."""

USEFUL_ALARMS = 0.5
"""The share of false alarms above which it isn't: most photos would have to be looked at all the same."""

_SLIDER_STEPS = 400


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that the page shows."""

    place: str  # the run's folder
    manifest: Manifest
    history: list[EpochRecord]
    metrics: dict[str, Any]
    record: dict[str, Any]  # dataset.json
    scores: list[PhotoScore]  # of the photos that judge it
    validation: list[PhotoScore]
    judgement: Judgement
    calibration: dict[str, Any]
    thumbnails: list[Thumbnail]
    model_bytes: int


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write a run's page, by default as report.html into the run; gives the file.

    Raises:
        RunError: the run isn't finished, or of a version that kept no predictions.
        BearcnnError: the file can't be written, or it is another one than the run's own and exists already.
    """
    page = render(gather(run))
    file = out or run.report_file
    # A name in a foreign encoding must not end the report.
    write_atomically(file, page.encode("utf-8", "backslashreplace"), overwrite=out is None)
    return file


def gather(run: Run, thumbnails: bool = True) -> ReportData:
    """Read all that the page shows from the run, and the worst photos from where they lie."""
    metrics, record, scores = run.metrics(), run.dataset_record(), read_scores(run)
    manifest = read_manifest(run.onnx_file)
    validation = in_split(scores, "valid")
    judged = in_split(scores, "test") or validation
    if not judged:
        raise RunError(f"{run.directory} has neither validation nor test photos: there is nothing to report")
    choice = Choice(**metrics["choice"]) if "choice" in metrics else choose(Rule(), validation, manifest.threshold)
    rule = Rule(target_recall=choice.wanted) if choice.rule == "target_recall" else Rule()
    judgement = judge(judged, judged[0].split, choice, rule, trained_on=judged[0].split)
    return ReportData(
        place=str(run.directory),
        manifest=manifest,
        history=run.history(),
        metrics=metrics,
        record=record,
        scores=judged,
        validation=validation,
        judgement=judgement,
        calibration=metrics.get("calibration") or judge_calibration(scores, manifest.temperature),
        thumbnails=make_thumbnails(judgement.mistakes, Path(record["root"]), run.onnx_file) if thumbnails else [],
        model_bytes=run.onnx_file.stat().st_size,
    )


def render(data: ReportData) -> str:
    """The page as HTML; everything that isn't ours is escaped by the template."""
    judgement, manifest = data.judgement, data.manifest
    point = judgement.point
    page: str = template("report.html").render(
        data=data,
        manifest=manifest,
        negative=manifest.classes[0],
        positive=manifest.classes[1],
        evaluation=judgement.evaluation,
        judgement=judgement,
        point=point,
        verdict=verdict(judgement.evaluation, point, manifest.classes[1]),
        origin=_origin(judgement.choice),
        better=_suggestion(data),
        learning=draw_learning(data.history, data.metrics["best_epoch"]),
        precision_recall=draw_precision_recall(judgement.evaluation, data.scores),
        reliability=draw_reliability(data.calibration),
        histogram=draw_scores(data.scores, manifest.classes, judgement.choice.threshold),
        slider=slider_steps(data.scores, judgement.choice.threshold),
        counts=_count(data.record),
        reasons=_reasons(data.record["skipped"]),
        command=shlex.quote(data.place),
        whisker=_whisker,
    )
    return page


def template(name: str) -> "Template":
    """A page's template, which escapes every value and fails on a name that doesn't exist."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bearcnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "per_thousand": per_thousand,
        "share": share,
        "names": metric_name,
        "breakable": breakable,
    }
    environment.globals["estimate"] = lambda fields: Estimate(**fields)
    return environment.get_template(name)


def verdict(evaluation: Evaluation, point: OperatingPoint, positive: str) -> tuple[str, str, str]:
    """How it stands (good, unsure or bad), in a word, and in a sentence."""
    recall, alarms, auc = point.recall, point.false_positive_rate, evaluation.estimates["roc_auc"]
    found, bears = evaluation.confusion.true_positive, evaluation.positives
    if recall.value is None or recall.low is None or alarms.value is None:
        return "unsure", "Can't tell.", f"The photos that judge it need some with a {positive} and some without."
    cost = f"and calls {percent(alarms.value)} of the other photos a {positive}"
    # Rounded down: what is proven must not be made more of.
    proven = percent(math.floor(recall.low * 1000) / 1000)
    if auc.low is not None and auc.low <= 0.5:
        return "bad", "No.", f"Nothing shows that it tells a {positive} from the rest any better than a coin would."
    if recall.value >= GOOD_RECALL and alarms.value > USEFUL_ALARMS:
        return (
            "bad",
            "Little help.",
            (
                f"It finds {percent(recall.value)} of the photos with a {positive}, but only by calling "
                f"{percent(alarms.value)} of all others so."
            ),
        )
    if recall.low >= GOOD_RECALL:
        return "good", "Yes, on photos like these.", (
            f"It finds {percent(recall.value)} of the photos with a {positive} (at least {proven}, "
            f"counting chance) {cost}."
        )  # fmt: skip
    if recall.value >= GOOD_RECALL:
        return "unsure", "Perhaps.", (
            f"It found {found:,} of {bears:,} photos with a {positive}, but so few can't prove more than "
            f"{proven}; it {cost.removeprefix('and ')}."
        )  # fmt: skip
    return "bad", "Not at this threshold.", (
        f"It misses {percent(1 - recall.value)} of the photos with a {positive} ({bears - found:,} of {bears:,}) "
        f"{cost}."
    )  # fmt: skip


def slider_steps(scores: list[PhotoScore], chosen: float) -> dict[str, Any]:
    """What the slider knows: thresholds, and at each how many positives are found and how many others called so.

    The thresholds are spread over the photos, not over 0 to 1, so that every step changes an answer.
    """
    labels, probabilities = as_arrays(scores)
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


def _suggestion(data: ReportData) -> OperatingPoint | None:
    """What a threshold for 98% recall would cost, where the present one finds less on the validation photos."""
    labels, probabilities = as_arrays(data.validation)
    if data.judgement.choice.rule == "target_recall" or not labels.any():
        return None
    choice = choose_for_recall(labels, probabilities, 0.98)
    if choice.threshold >= data.judgement.choice.threshold:
        return None
    return operating_point(*as_arrays(data.scores), choice.threshold)


def _origin(choice: Choice) -> str:
    if choice.rule == "target_recall":
        return f"chosen to find {percent(choice.wanted)} of the {choice.bears:,} positives among the validation photos"
    if choice.rule == "max_false_alarms_per_day":
        return f"chosen for at most {choice.wanted:g} false alarms a day on the validation photos"
    if choice.rule == "given":
        return "chosen by hand"
    return "the usual one: nobody has chosen yet" if choice.threshold == 0.5 else "the model file's own"


def _count(record: dict[str, Any]) -> list[tuple[str, int, int]]:
    rows = []
    for split in ("train", "valid", "test"):
        labels = [example["label"] for example in record["examples"] if example["split"] == split]
        if labels:
            rows.append((split, sum(labels), len(labels) - sum(labels)))
    return rows


def _reasons(skipped: list[dict[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for photo in skipped:
        # A copy's reason names its twin; the sort of reason is what is counted.
        sort = photo["reason"].partition(" of ")[0] if photo["reason"].startswith("exact copy") else photo["reason"]
        reasons.setdefault(sort, []).append(photo["path"])
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))


def _whisker(estimate: Estimate) -> Markup:
    return draw_whisker(estimate.value, estimate.low, estimate.high, f"{share(estimate)}")


def percent(value: float | None) -> str:
    """`97%`, `99.6%`: never 100% or 0% unless it is."""
    if value is None:
        return "undefined"
    digits = 0 if 0.1 <= value <= 0.9 else 1
    text = f"{value * 100:.{digits}f}"
    if value < 1 and float(text) == 100:
        return "over 99.9%"
    if value > 0 and float(text) == 0:
        return "under 0.1%"
    return f"{text.removesuffix('.0')}%"


def share(estimate: Estimate) -> str:
    """`97% (91% to 99%)`."""
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)})"


def per_thousand(value: float | None) -> str:
    """A share as a number of 1,000 photos."""
    return "undefined" if value is None else f"{math.floor(value * 1000 + 0.5 + 1e-9):,}"


def breakable(path: str) -> Markup:
    """A path that may be broken into lines after each of its folders."""
    return Markup("/<wbr>").join(path.split("/"))


def metric_name(name: str) -> str:
    """A metric's name for people."""
    special = {"roc_auc": "ROC AUC", "f1": "F1", "brier": "Brier score", "false_positive_rate": "false-positive rate"}
    return special.get(name, name.replace("_", " "))
