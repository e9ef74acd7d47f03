"""Predictions in another order than that of the photos."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bearcnn.inference.labels import Labelling, log_odds
from bearcnn.inference.prediction import Prediction
from bearcnn.registry import Registry


class Key(Protocol):
    """Returns a number by which a probability is sorted, the lowest first."""

    def __call__(self, probability: float, labelling: Labelling) -> float:
        """Return the number."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of predictions."""

    name: str
    words: str
    key: Key


def _by_probability(probability: float, labelling: Labelling) -> float:
    return -probability


def _by_doubt(probability: float, labelling: Labelling) -> float:
    middle = (log_odds(labelling.lower) + log_odds(labelling.upper)) / 2
    return abs(log_odds(probability) - middle)


ORDERS: Registry[Order] = Registry(
    "order",
    [
        Order("probability", "the most probable first", _by_probability),
        Order("unsure", "those nearest to the threshold first", _by_doubt),
    ],
)


def sort_predictions(predictions: Iterable[Prediction], order: str, labelling: Labelling) -> list[Prediction]:
    """Sort predictions, with all of them in memory; equal ones keep their order, unreadable photos come last."""
    key = ORDERS[order].key
    return sorted(
        predictions,
        key=lambda each: (
            each.probability is None,
            0.0 if each.probability is None else key(each.probability, labelling),
        ),
    )
