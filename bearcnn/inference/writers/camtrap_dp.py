"""Predictions as observations in a Camtrap DP package.

A positive photo is an animal of the scientific name. An unsure one is "unknown", the standard's word for a probability
below the threshold of a decision. A negative one is "unclassified": it may show a wolf, a person or nothing, which the
model can't tell. "blank" would say that somebody looked and found nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from bearcnn.inference.camtrap.existing import OBSERVATION_PREFIX
from bearcnn.inference.camtrap.plan import Medium, PackagePlan
from bearcnn.inference.camtrap.tables import Row, write_table
from bearcnn.inference.camtrap.times import iso
from bearcnn.inference.labels import UNSURE
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers.base import PredictionContext

LEFT_OUT = "left_out.csv"
"""The answers to photos that can't be part of the package, beside its tables."""

Events = Mapping[int, list[Medium]]


def write_package(predictions: Iterable[Prediction], context: PredictionContext) -> Mapping[str, bytes]:
    """Return the package's files, once all predictions are there."""
    plan = context.package
    assert plan is not None
    rows = list(predictions)
    placed = [(row, plan.photos[row.path]) for row in rows if row.path in plan.photos]
    bursts: dict[int, list[Medium]] = {}
    for row, photo in placed:
        if row.burst is not None:
            bursts.setdefault(row.burst, []).append(photo)
    now = iso(datetime.now(UTC))
    observations = [
        _observe(row, photo, bursts, plan, context, now) for row, photo in placed if row.probability is not None
    ]
    errors = {photo.media_id: row.error for row, photo in placed if row.error}
    files = plan.files(observations, errors)
    others = [row for row in rows if row.path not in plan.photos]
    if others or plan.left_out:
        files[LEFT_OUT] = _write_left_out(others, plan)
    return files


def _observe(
    prediction: Prediction, photo: Medium, bursts: Events, plan: PackagePlan, context: PredictionContext, now: str
) -> Row:
    positive = prediction.label == context.labelling.classes[1]
    burst = bursts.get(prediction.burst, [photo]) if prediction.burst is not None else [photo]
    tags = [f"label:{prediction.label}", f"probability:{prediction.probability:.6f}"]
    if prediction.own_probability is not None:
        tags.append(f"ownProbability:{prediction.own_probability:.6f}")
    return {
        "observationID": f"{OBSERVATION_PREFIX}{context.fingerprint}:{photo.media_id}",
        "deploymentID": photo.deployment,
        "mediaID": photo.media_id,
        "eventID": f"burst:{burst[0].media_id}" if prediction.burst is not None else "",
        "eventStart": iso(min(each.taken for each in burst)),
        "eventEnd": iso(max(each.taken for each in burst)),
        "observationLevel": "media",
        "observationType": _observation_type(prediction, positive),
        "scientificName": plan.scientific_name if positive else "",
        "classificationMethod": "machine",
        "classifiedBy": context.answered_by,
        "classificationTimestamp": now,
        "classificationProbability": f"{prediction.probability:.6f}" if positive else "",
        "observationTags": "|".join(tags),
    }


def _observation_type(prediction: Prediction, positive: bool) -> str:
    if positive:
        return "animal"
    return "unknown" if prediction.label == UNSURE else "unclassified"


def _write_left_out(predictions: Iterable[Prediction], plan: PackagePlan) -> bytes:
    columns = ("path", "label", "probability", "reason")
    rows = [
        {
            "path": each.path,
            "label": each.label or "",
            "probability": "" if each.probability is None else f"{each.probability:.6f}",
            "reason": "; ".join(filter(None, (plan.left_out.get(each.path), each.error))),
        }
        for each in predictions
    ]
    seen = {row["path"] for row in rows}
    rows += [{"path": path, "reason": reason} for path, reason in plan.left_out.items() if path not in seen]
    return write_table(columns, rows)
