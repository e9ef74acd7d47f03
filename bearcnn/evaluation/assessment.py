"""Assessment of a model on labelled photos at a threshold: scores, costs, errors by group, mistakes, caveats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bearcnn.config import LAST_EPOCH
from bearcnn.data.splits import FOLDS
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.calibration import apply_temperature, cross_fit, log_odds, measure_reliability
from bearcnn.evaluation.groups import GroupErrors, group_errors
from bearcnn.evaluation.metrics import Evaluation, evaluate
from bearcnn.evaluation.notable import worst_mistakes
from bearcnn.evaluation.predictions import LabelledPrediction, as_arrays, as_clusters, for_scores
from bearcnn.evaluation.sites import SiteErrors, explain_sites, site_errors
from bearcnn.evaluation.thresholds import (
    Choice,
    OperatingPoint,
    choose_for_false_alarms,
    choose_for_recall,
    explain_proof,
    operating_point,
)
from bearcnn.evaluation.unsure import (
    UnsureAssessment,
    UnsureRange,
    assess_unsure,
    choose_for_precision,
    explain_precision,
)
from bearcnn.evaluation.wording import EXPLAIN_FOLDS, explain_few_photos
from bearcnn.registry import explain_choice


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """The rule that decides the threshold, and the intended use; all None for the model file's threshold."""

    target_recall: float | None = None
    target_precision: float | None = None
    max_false_alarms_per_day: float | None = None
    threshold: float | None = None
    photos_per_day: float | None = None
    prevalence: float | None = None

    @property
    def chooses(self) -> bool:
        """Whether validation photos decide the threshold."""
        return self.target_recall is not None or self.max_false_alarms_per_day is not None

    def check(self, saving: bool = False) -> None:
        """Raise BearcnnError for a policy that can't be followed; `saving` if the threshold is to be kept."""
        asked = [self.target_recall, self.max_false_alarms_per_day, self.threshold]
        if sum(value is not None for value in asked) > 1:
            raise BearcnnError("give one of `target_recall`, `max_false_alarms_per_day` and `threshold`")
        if saving and not self.chooses and self.threshold is None:
            raise BearcnnError(
                "`save_threshold` needs a threshold: `target_recall`, `max_false_alarms_per_day` or `threshold`"
            )
        if self.target_precision is not None and self.target_recall is None:
            raise BearcnnError(
                "`target_precision` chooses the upper of two thresholds: give `target_recall` for the lower one as well"
            )
        if self.target_precision is not None and not 0 < self.target_precision <= 1:
            raise BearcnnError(
                f"`target_precision` {self.target_precision:g}: expected a share of the alerts, such as 0.9"
            )
        if self.target_recall is not None and not 0 < self.target_recall <= 1:
            raise BearcnnError(f"`target_recall` {self.target_recall:g}: expected a share of the bears, such as 0.98")
        if self.max_false_alarms_per_day is not None and self.photos_per_day is None:
            raise BearcnnError("`max_false_alarms_per_day` needs the number of photos per day: `photos_per_day`")
        for name, value, highest in (
            ("max_false_alarms_per_day", self.max_false_alarms_per_day, np.inf),
            ("photos_per_day", self.photos_per_day, np.inf),
            ("prevalence", self.prevalence, 1),
            ("threshold", self.threshold, 1),
        ):
            if value is not None and not 0 <= value <= highest:
                ends = "0 or more" if highest == np.inf else "between 0 and 1"
                raise BearcnnError(f"`{name}` {value:g}: expected a number of {ends}")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The scores of a model without some subclasses of photos, at the same threshold."""

    subclasses: tuple[str, ...]
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Assessment:
    """The scores of a model on some photos at a threshold, with its mistakes and caveats."""

    split: str
    choice: Choice
    evaluation: Evaluation
    point: OperatingPoint
    groups: list[GroupErrors]
    mistakes: list[LabelledPrediction]  # the worst first
    notes: list[str]  # caveats to read before acting on the numbers
    without: Exclusion | None = None  # the scores once more without some of the photos
    unsure: UnsureAssessment | None = None  # of two thresholds, where they were asked for
    sites: list[SiteErrors] = field(default_factory=list)  # the worst first; none where no photo has a site

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps` takes."""
        return {
            "split": self.split,
            **self.evaluation.to_json(),
            "choice": self.choice.to_json(),
            "operating_point": self.point.to_json(),
            "groups": [asdict(row) for row in self.groups],
            **({"sites": [asdict(row) for row in self.sites]} if self.sites else {}),
            "mistakes": [photo.to_json() for photo in self.mistakes],
            "notes": self.notes,
            "without": None if self.without is None else asdict(self.without),
            **({} if self.unsure is None else {"unsure": self.unsure.to_json()}),
        }


def choose_threshold(policy: ThresholdPolicy, validation: Sequence[LabelledPrediction], own: float) -> Choice:
    """Choose the threshold of a policy on validation photos; `own` is the model file's threshold."""
    labels, probabilities = as_arrays(validation)
    if policy.target_recall is not None:
        return choose_for_recall(labels, probabilities, policy.target_recall)
    if policy.max_false_alarms_per_day is not None:
        assert policy.photos_per_day is not None
        prevalence = float(labels.mean()) if policy.prevalence is None else policy.prevalence
        return choose_for_false_alarms(
            labels, probabilities, policy.max_false_alarms_per_day, policy.photos_per_day, prevalence
        )
    if policy.threshold is not None:
        return Choice(policy.threshold, "given", policy.threshold, policy.threshold, 0, 0)
    return Choice(own, "model", own, own, 0, 0)


def choose_unsure(
    policy: ThresholdPolicy, validation: Sequence[LabelledPrediction], choice: Choice
) -> UnsureRange | None:
    """Choose the upper threshold of a policy with two on validation photos; None for a policy with one.

    Raises:
        BearcnnError: the validation photos are all of one class.
    """
    if policy.target_precision is None:
        return None
    labels, probabilities = as_arrays(validation)
    if labels.min() == labels.max():
        raise BearcnnError("`target_precision` needs validation photos of both classes")
    prevalence = float(labels.mean()) if policy.prevalence is None else policy.prevalence
    return choose_for_precision(labels, probabilities, policy.target_precision, choice.threshold, prevalence)


def assess(
    predictions: Sequence[LabelledPrediction],
    split: str,
    choice: Choice,
    policy: ThresholdPolicy,
    *,
    trained_on: str | None,
    monitor: str = "",
    body: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
    unsure: UnsureRange | None = None,
) -> Assessment:
    """Assess predictions at the chosen threshold.

    Args:
        predictions: of the photos of a split.
        split: its name.
        choice: the threshold.
        policy: how it was chosen, and the intended use.
        trained_on: the photos' split in the run's training; "folds" for cross-validated ones, None for others.
        monitor: the validation score that chose the kept epoch.
        body: the pretrained body in the model, from its manifest.
        exclude: subclasses without which the photos are scored once more.
        unsure: two thresholds, where the policy has them.

    Raises:
        BearcnnError: there is no such subclass, or nothing is left without it.
    """
    evaluation = evaluate_predictions(predictions, choice.threshold)
    labels, probabilities = as_arrays(predictions)
    clusters = as_clusters(predictions)
    point = operating_point(
        labels,
        probabilities,
        choice.threshold,
        prevalence=policy.prevalence,
        photos_per_day=1000 if policy.photos_per_day is None else policy.photos_per_day,
        clusters=clusters,
    )
    two = None if unsure is None else assess_unsure(labels, probabilities, unsure, policy.prevalence, clusters)
    notes = _find_caveats(choice, policy, evaluation, trained_on, monitor, body)
    notes += filter(None, [explain_precision(two)] if two is not None else [])
    notes += explain_sites(predictions) if trained_on != "train" else []
    return Assessment(
        split=split,
        choice=choice,
        evaluation=evaluation,
        point=point,
        groups=group_errors(predictions, choice.threshold),
        mistakes=worst_mistakes(predictions, choice.threshold),
        notes=notes,
        without=leave_out(predictions, exclude, choice.threshold) if exclude else None,
        unsure=two,
        sites=site_errors(predictions, choice.threshold),
    )


def evaluate_predictions(predictions: Sequence[LabelledPrediction], threshold: float) -> Evaluation:
    """Compute every metric of predictions, with intervals that count photos of a group together."""
    return evaluate(*as_arrays(predictions), threshold=threshold, clusters=as_clusters(predictions))


def leave_out(predictions: Sequence[LabelledPrediction], exclude: Sequence[str], threshold: float) -> Exclusion:
    """Evaluate photos without some subclasses of them.

    Raises:
        BearcnnError: there is no such subclass, or nothing is left without it.
    """
    known = sorted({each.subclass for each in predictions})
    for name in exclude:
        if name not in known:
            raise BearcnnError("`exclude`: " + explain_choice("group of photos", name, known))
    left = [each for each in predictions if each.subclass not in exclude]
    if {each.label for each in left} != {0, 1}:
        raise BearcnnError(f"`exclude` {', '.join(exclude)}: what is left has not both classes, and no score")
    return Exclusion(tuple(dict.fromkeys(exclude)), evaluate_predictions(left, threshold))


def assess_calibration(predictions: Iterable[LabelledPrediction], temperature: float) -> dict[str, Any]:
    """Measure the reliability without and with the temperature, on photos that it wasn't fitted on.

    Those are the test photos. Without test photos they are the photos of the folds or the validation photos, each with
    a temperature fitted without it. The `predictions` are those that a run keeps, and therefore calibrated.
    """
    judged = for_scores(list(predictions))
    split = judged[0].split
    test = split == "test"
    labels, after = as_arrays(judged)
    before = apply_temperature(after, 1 / temperature)
    if not test:
        after = cross_fit(labels, log_odds(before))
    return {
        "temperature": temperature,
        "judged_on": split,
        "cross_fitted": not test,
        "photos": len(judged),
        "before": measure_reliability(labels, before).to_json(),
        "after": measure_reliability(labels, after).to_json(),
    }


def _find_caveats(
    choice: Choice,
    policy: ThresholdPolicy,
    evaluation: Evaluation,
    trained_on: str | None,
    monitor: str,
    body: Mapping[str, str] | None,
) -> list[str]:
    notes = list(filter(None, [explain_few_photos(evaluation)]))
    if trained_on == "train":
        notes.append("the model was trained on these very photos: the scores say nothing about others")
    elif trained_on in (FOLDS, "valid") and policy.chooses:
        notes.append(
            "the threshold was chosen on these very photos, so the numbers flatter it; "
            "test photos, best of other days and places, are needed for a fair judgement"
        )
    elif trained_on == "valid" and monitor != LAST_EPOCH:
        notes.append("the best epoch was chosen on these photos, so the scores flatter the model a little")
    if trained_on == FOLDS:
        notes.append(EXPLAIN_FOLDS)
    if policy.target_recall is not None:
        found = evaluation.confusion.true_positive
        recall = evaluation.estimates["recall"]
        notes += filter(None, [explain_proof(policy.target_recall, found, evaluation.positives, recall=recall)])
    if policy.target_precision is not None and policy.prevalence is None:
        notes.append(
            "the precision is that among photos with as many bears as these; where bears are rarer it is lower: "
            "bearcnn evaluate --prevalence SHARE"
        )
    if choice.rule == "max_false_alarms_per_day" and choice.reached > choice.wanted:
        notes.append("no threshold gives so few false alarms: some photo without a bear has a probability of 1")
    if body and (seen := body.get("trained_on")):
        notes.append(
            f"the pretrained body, {body['name']}, has seen the photos of {seen}: any that are among these flatter the "
            "scores; to score once more without a group of photos: bearcnn evaluate --exclude GROUP"
        )
    elif body:
        notes.append(
            f"it isn't known which photos the pretrained body, {body['name']}, has seen: any that are among these "
            "flatter the scores"
        )
    return notes
