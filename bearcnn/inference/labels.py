"""Labels of probabilities: by the model's threshold, or by two thresholds with "unsure" between them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bearcnn.errors import BearcnnError, ModelFileError
from bearcnn.inference.prediction import Prediction

if TYPE_CHECKING:  # the names of the orders, for the help, need no onnxruntime
    from bearcnn.manifest import Manifest

CERTAIN = 1e-7
"""The distance to 0 and 1 beyond which one probability would outweigh any number of others."""

UNSURE = "unsure"
"""The label between two thresholds."""

STORED = "stored"
"""Stands for the two thresholds in the model file."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """The rule that gives a probability its label.

    From `upper` on it is that of the positive class, below `lower` that of the negative class, and between them it is
    "unsure". Where both are equal, no photo is unsure.
    """

    classes: tuple[str, str]
    lower: float
    upper: float

    @property
    def names(self) -> tuple[str, ...]:
        """Every label that there can be."""
        return self.classes if self.lower == self.upper else (*self.classes, UNSURE)

    def label(self, probability: float) -> str:
        """Return the label of a probability."""
        if probability >= self.upper:
            return self.classes[1]
        return UNSURE if probability >= self.lower else self.classes[0]

    def relabel(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Give predictions their label by this rule."""
        for each in predictions:
            yield each if each.probability is None else replace(each, label=self.label(each.probability))


def log_odds(probability: float) -> float:
    """Return the log odds of a probability, as those of `CERTAIN` at most."""
    likely = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(likely / (1 - likely))


def choose_labelling(manifest: "Manifest", model: Path, unsure: str | None = None) -> Labelling:
    """Return the rule of a model, or for `unsure` one with two thresholds.

    Args:
        manifest: the model's.
        model: its file, for the error.
        unsure: "stored" for the two thresholds in the manifest, two numbers such as "0.1,0.9", or None.

    Raises:
        ModelFileError: the model has no two thresholds.
        BearcnnError: the text is not two thresholds.
    """
    if unsure is None:
        return Labelling(manifest.classes, manifest.threshold, manifest.threshold)
    if unsure == STORED:
        if manifest.unsure is None:
            raise ModelFileError(
                f"{model} has no thresholds for `unsure`: choose them with bearcnn evaluate RUN --target-recall 0.98 "
                "--target-precision 0.9 --save-threshold, or give two, such as 0.1,0.9"
            )
        return Labelling(manifest.classes, *manifest.unsure)
    return Labelling(manifest.classes, *_parse_thresholds(unsure))


def _parse_thresholds(text: str) -> tuple[float, float]:
    try:
        lower, upper = map(float, text.split(","))
    except ValueError:
        lower, upper = 1.0, 0.0
    if not 0 <= lower <= upper <= 1:
        raise BearcnnError(
            f"`unsure` {text}: expected two thresholds between 0 and 1, the lower first, such as 0.1,0.9"
        )
    return lower, upper
