"""Errors by site, and what an evaluation tells about a new one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bearcnn.evaluation.intervals import Estimate, proportion
from bearcnn.evaluation.predictions import LabelledPrediction, as_clusters

FEW_GROUPS = 10
"""Below this number of groups, an interval that is computed from their differences is rough itself."""


@dataclass(frozen=True, slots=True)
class SiteErrors:
    """The number of wrong answers at a site, at the threshold."""

    site: str
    seen: bool | None  # whether the model was trained on photos of it
    photos: int
    bears: int
    missed: int
    false_alarms: int
    rate: Estimate  # of wrong answers


def site_errors(predictions: Iterable[LabelledPrediction], threshold: float) -> list[SiteErrors]:
    """Count wrong answers by site, the surely worst first: by the low end of the interval of the share of them."""
    sites: dict[str, list[LabelledPrediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.site is not None:
            sites[prediction.site].append(prediction)
    rows = []
    for site, photos in sites.items():
        missed = sum(each.label == 1 and each.probability < threshold for each in photos)
        alarms = sum(each.label == 0 and each.probability >= threshold for each in photos)
        bears, rate = sum(each.label for each in photos), proportion(missed + alarms, len(photos))
        rows.append(SiteErrors(site, photos[0].seen, len(photos), bears, missed, alarms, rate))
    rows.sort(key=lambda row: (-(row.rate.low or 0), -(row.rate.value or 0), -row.photos, row.site))
    return rows


def explain_sites(predictions: Sequence[LabelledPrediction]) -> list[str]:
    """Say what the groups of these photos mean for their scores, in sentences; none where there is nothing to say."""
    notes = []
    sites = {each.site: each.seen for each in predictions if each.site is not None}
    if sites and all(sites.values()):
        one = "the only site" if len(sites) == 1 else f"every one of the {len(sites):,} sites"
        notes.append(f"{one} was trained on: expect worse at a new camera")
    clusters = as_clusters(predictions)
    if clusters is None or (number := int(clusters.max()) + 1) > 0.9 * len(predictions):
        return notes
    rough = ", and with so few groups are rough" if number < FEW_GROUPS else ""
    notes.append(
        f"the {len(predictions):,} photos are of {number:,} groups (sites, days or bursts), whose photos are right or "
        f"wrong together: the intervals allow for that{rough}"
    )
    return notes
