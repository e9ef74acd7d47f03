"""A model file's answer to each labelled photo, kept in the run, and what follows from them.

`predictions.jsonl` holds what every number of a run is made of, so that thresholds, reports and comparisons need
neither the model nor the photos again. It must never import torch, fastai or matplotlib.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bearcnn.data.splits import Split
from bearcnn.errors import BearcnnError, RunError
from bearcnn.evaluation.calibration import apply_temperature, cross_fit, log_odds, measure_reliability
from bearcnn.evaluation.intervals import Estimate, proportion
from bearcnn.evaluation.metrics import Evaluation, evaluate
from bearcnn.evaluation.thresholds import (
    Choice,
    OperatingPoint,
    choose_for_false_alarms,
    choose_for_recall,
    explain_proof,
    operating_point,
)
from bearcnn.files import write_atomically
from bearcnn.manifest import Manifest, read_manifest, safetensors_metadata, stamp_onnx
from bearcnn.runs import Run

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.inference.predictor import Predictor

JUDGED: tuple[Split, ...] = ("valid", "test")
"""The splits that a model isn't trained on."""

_COLOURLESS = 6
"""Half of a grey photo's pixels have channels this near to each other; infrared photos and their JPEG noise do."""


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """One labelled photo and the model's answer to it: a line of predictions.jsonl."""

    path: str  # below the data's root, with /
    split: str
    label: int
    subclass: str
    digest: str
    probability: float
    grey: bool  # without colour, as infrared photos of the night are


@dataclass(frozen=True, slots=True)
class GroupRow:
    """How often a kind of photo is judged wrongly at the threshold."""

    name: str
    label: int
    photos: int
    wrong: int
    rate: Estimate  # false alarms among others, missed among bears


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides the threshold, and what it is used on; all None for the model file's own."""

    target_recall: float | None = None
    max_false_alarms_per_day: float | None = None
    threshold: float | None = None
    photos_per_day: float | None = None
    prevalence: float | None = None

    @property
    def chooses(self) -> bool:
        """Whether validation photos decide the threshold."""
        return self.target_recall is not None or self.max_false_alarms_per_day is not None

    def check(self, saving: bool = False) -> None:
        """Raise BearcnnError for what can't be meant; `saving` if the threshold is to be kept."""
        asked = [self.target_recall, self.max_false_alarms_per_day, self.threshold]
        if sum(value is not None for value in asked) > 1:
            raise BearcnnError("give one of --target-recall, --max-false-alarms-per-day and --threshold")
        if saving and not self.chooses and self.threshold is None:
            raise BearcnnError(
                "--save-threshold needs a threshold: --target-recall, --max-false-alarms-per-day or --threshold"
            )
        if self.target_recall is not None and not 0 < self.target_recall <= 1:
            raise BearcnnError(f"--target-recall {self.target_recall:g}: expected a share of the bears, such as 0.98")
        if self.max_false_alarms_per_day is not None and self.photos_per_day is None:
            raise BearcnnError("--max-false-alarms-per-day needs to know how many photos a day has: --photos-per-day")
        for name, value, highest in (
            ("max-false-alarms-per-day", self.max_false_alarms_per_day, np.inf),
            ("photos-per-day", self.photos_per_day, np.inf),
            ("prevalence", self.prevalence, 1),
            ("threshold", self.threshold, 1),
        ):
            if value is not None and not 0 <= value <= highest:
                ends = "0 or more" if highest == np.inf else "between 0 and 1"
                raise BearcnnError(f"--{name} {value:g}: expected a number of {ends}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model is worth on some photos at a threshold, and what may be concluded from it."""

    split: str
    choice: Choice
    evaluation: Evaluation
    point: OperatingPoint
    groups: list[GroupRow]
    mistakes: list[PhotoScore]  # the worst first
    notes: list[str]  # what must be known before acting on it

    def to_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {
            "split": self.split,
            **self.evaluation.to_json(),
            "choice": self.choice.to_json(),
            "operating_point": self.point.to_json(),
            "groups": [asdict(row) for row in self.groups],
            "mistakes": [asdict(photo) for photo in self.mistakes],
            "notes": self.notes,
        }


def score_photos(
    predictor: "Predictor", dataset: "Dataset", split: Split, progress: Callable[[int, int], None] | None = None
) -> list[PhotoScore]:
    """The model's answer to each photo of a split, in the order of their paths."""
    from bearcnn.inference.predictor import predict_rows  # onnxruntime is of no use to what reads scores alone

    examples = dataset.select(split)
    rows, _ = dataset.arrays(split)
    probabilities = predict_rows(predictor, dataset.pixels, rows, progress)
    return [
        PhotoScore(
            path=example.path.relative_to(dataset.root).as_posix(),
            split=split,
            label=example.label,
            subclass=example.subclass,
            digest=example.digest,
            probability=probability,
            grey=is_grey(np.asarray(dataset.pixels[example.row])),
        )
        for example, probability in zip(examples, probabilities.tolist(), strict=True)
    ]


def is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether a photo (size, size, 3) has no colour, by its median pixel: a coloured date line counts little."""
    return bool(np.median(pixels.max(axis=2) - pixels.min(axis=2)) <= _COLOURLESS)


def write_scores(run: Run, scores: Iterable[PhotoScore]) -> None:
    """Keep the answers in the run."""
    lines = "".join(json.dumps(asdict(score)) + "\n" for score in scores)
    write_atomically(run.predictions_file, lines.encode(), overwrite=True)


def read_scores(run: Run) -> list[PhotoScore]:
    """The answers that the run keeps.

    Raises:
        RunError: there are none (a run of an earlier version), or the file is damaged.
    """
    file = run.predictions_file
    if not file.is_file():
        raise RunError(f"{run.directory} has no {file.name}; write it with: bearcnn evaluate {run.directory}")
    try:
        return [PhotoScore(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError):
        raise RunError(f"{file} is damaged; delete it and run: bearcnn evaluate {run.directory}") from None


def in_split(scores: Iterable[PhotoScore], split: str) -> list[PhotoScore]:
    """Those of one split."""
    return [score for score in scores if score.split == split]


def as_arrays(scores: Sequence[PhotoScore]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities, each (photos,)."""
    return np.array([score.label for score in scores], np.int64), np.array(
        [score.probability for score in scores], np.float64
    )


def choose(rule: Rule, validation: Sequence[PhotoScore], own: float) -> Choice:
    """The threshold of a rule, chosen on validation photos; `own` is the model file's."""
    labels, probabilities = as_arrays(validation)
    if rule.target_recall is not None:
        return choose_for_recall(labels, probabilities, rule.target_recall)
    if rule.max_false_alarms_per_day is not None:
        assert rule.photos_per_day is not None
        prevalence = float(labels.mean()) if rule.prevalence is None else rule.prevalence
        return choose_for_false_alarms(
            labels, probabilities, rule.max_false_alarms_per_day, rule.photos_per_day, prevalence
        )
    if rule.threshold is not None:
        return Choice(rule.threshold, "given", rule.threshold, rule.threshold, 0, 0)
    return Choice(own, "model", own, own, 0, 0)


def judge(scores: Sequence[PhotoScore], split: str, choice: Choice, rule: Rule, *, trained_on: str | None) -> Judgement:
    """What the answers are worth at the chosen threshold; `trained_on` is the photos' split in the run's training."""
    labels, probabilities = as_arrays(scores)
    evaluation = evaluate(labels, probabilities, threshold=choice.threshold)
    point = operating_point(
        labels,
        probabilities,
        choice.threshold,
        prevalence=rule.prevalence,
        photos_per_day=1000 if rule.photos_per_day is None else rule.photos_per_day,
    )
    notes = []
    if trained_on == "train":
        notes.append("the model was trained on these very photos: the scores say nothing about others")
    elif trained_on == "valid" and rule.chooses:
        notes.append(
            "the threshold was chosen on the very photos that judge it here, so these numbers flatter it; "
            "test photos, best of other days and places, would tell"
        )
    elif trained_on == "valid":
        notes.append("the best epoch was chosen on these photos, so the scores flatter a little")
    if rule.target_recall is not None:
        found = evaluation.confusion.true_positive
        notes += filter(None, [explain_proof(rule.target_recall, found, evaluation.positives)])
    if choice.rule == "max_false_alarms_per_day" and choice.reached > choice.wanted:
        notes.append("no threshold is that quiet: some photo without a bear has a probability of 1")
    return Judgement(
        split, choice, evaluation, point, group(scores, choice.threshold), worst(scores, choice.threshold), notes
    )


def group(scores: Iterable[PhotoScore], threshold: float) -> list[GroupRow]:
    """Wrong answers by subclass, the most frequent first, and by colour where photos of both kinds are there."""
    scores = list(scores)
    kinds: dict[tuple[str, int], list[PhotoScore]] = defaultdict(list)
    for score in scores:
        kinds[score.subclass, score.label].append(score)
    rows = [_group_row(name, label, photos, threshold) for (name, label), photos in kinds.items()]
    rows.sort(key=lambda row: (-row.label, -(row.rate.value or 0), row.name))
    if len({score.grey for score in scores}) == 2:
        for label in (1, 0):
            for grey, name in ((False, "in colour"), (True, "grey (infrared?)")):
                photos = [score for score in scores if score.label == label and score.grey == grey]
                if photos:
                    rows.append(_group_row(name, label, photos, threshold))
    return rows


def _group_row(name: str, label: int, photos: list[PhotoScore], threshold: float) -> GroupRow:
    wrong = sum((photo.probability >= threshold) != (label == 1) for photo in photos)
    return GroupRow(name, label, len(photos), wrong, proportion(wrong, len(photos)))


def worst(scores: Iterable[PhotoScore], threshold: float, most: int = 12) -> list[PhotoScore]:
    """The photos judged wrongly, those of each kind of mistake farthest from the threshold first, kinds by turns."""
    missed = [score for score in scores if score.label == 1 and score.probability < threshold]
    alarms = [score for score in scores if score.label == 0 and score.probability >= threshold]
    missed.sort(key=lambda score: (score.probability, score.path))
    alarms.sort(key=lambda score: (-score.probability, score.path))
    # Half of each, and what one kind lacks goes to the other.
    half = most // 2
    kept = max(half, most - len(alarms))
    missed = missed[:kept]
    return missed + alarms[: most - len(missed)]


def judge_calibration(scores: Iterable[PhotoScore], temperature: float) -> dict[str, Any]:
    """The reliability without and with the temperature, on photos that it wasn't fitted on.

    Those are the test photos; without any, the validation photos, each by a temperature fitted without it. The `scores`
    are the model file's, so already calibrated.
    """
    scores = list(scores)
    test = in_split(scores, "test")
    judged = test or in_split(scores, "valid")
    labels, after = as_arrays(judged)
    before = apply_temperature(after, 1 / temperature)
    if not test:
        after = cross_fit(labels, log_odds(before))
    return {
        "temperature": temperature,
        "judged_on": "test" if test else "valid",
        "cross_fitted": not test,
        "photos": len(judged),
        "before": measure_reliability(labels, before).to_json(),
        "after": measure_reliability(labels, after).to_json(),
    }


def keep_scores(run: Run, predictor: "Predictor", dataset: "Dataset", known: Sequence[PhotoScore]) -> None:
    """Write predictions.jsonl for a run that lacks it; `known` are the answers of one split."""
    split = known[0].split
    write_scores(
        run,
        [score for each in JUDGED for score in (known if each == split else score_photos(predictor, dataset, each))],
    )


def validation_scores(run: Run) -> list[PhotoScore]:
    """The answers on which a threshold is chosen.

    Raises:
        RunError: the run has none.
    """
    scores = in_split(read_scores(run), "valid")
    if not scores:
        raise RunError(f"{run.directory} has no validation photos to choose a threshold on; give one with --threshold")
    return scores


def save_threshold_of(run: Run, judgement: Judgement) -> None:
    """Write a threshold into the run's model files, with the scores that the model has at it.

    Raises:
        ModelFileError: a model file is missing or damaged; nothing is changed then.
    """
    threshold = judgement.choice.threshold
    metrics, scores = run.metrics(), read_scores(run)
    for split in JUDGED:
        photos = in_split(scores, split)
        if photos:
            metrics["evaluations"][split] = evaluate(*as_arrays(photos), threshold=threshold).to_json()
            metrics.setdefault("groups", {})[split] = [asdict(row) for row in group(photos, threshold)]
    metrics["choice"] = judgement.choice.to_json()
    changed = {"threshold": threshold, "metrics": for_manifest(metrics)}
    model = stamp_onnx(run.onnx_file, read_manifest(run.onnx_file).model_copy(update=changed))
    weights = _stamp_safetensors(run.weights_file, read_manifest(run.weights_file).model_copy(update=changed))
    write_atomically(run.onnx_file, model, overwrite=True)
    write_atomically(run.weights_file, weights, overwrite=True)
    write_atomically(run.metrics_file, json.dumps(metrics, indent=1).encode(), overwrite=True)


def for_manifest(metrics: dict[str, Any]) -> dict[str, Any]:
    """What of metrics.json the model file carries: all but what is about single photos and layers."""
    return {name: value for name, value in metrics.items() if name not in ("layers", "groups")}


def _stamp_safetensors(file: Path, manifest: Manifest) -> bytes:
    from safetensors.numpy import load, save

    return save(load(file.read_bytes()), safetensors_metadata(manifest))
