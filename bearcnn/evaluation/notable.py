"""Photos worth a look: the worst mistakes, the surest right answers, and those on which two models disagree."""

from collections.abc import Iterable, Sequence

from bearcnn.evaluation.predictions import LabelledPrediction


def worst_mistakes(
    predictions: Iterable[LabelledPrediction], threshold: float, most: int = 12
) -> list[LabelledPrediction]:
    """Return the missed bears and the false alarms farthest from the threshold, half of each where there are enough."""
    predictions = list(predictions)
    missed = [each for each in predictions if each.label == 1 and each.probability < threshold]
    alarms = [each for each in predictions if each.label == 0 and each.probability >= threshold]
    return _halves(missed, alarms, most)


def surest_answers(
    predictions: Iterable[LabelledPrediction], threshold: float, most: int = 6
) -> list[LabelledPrediction]:
    """Return the right answers farthest from the threshold, half of them bears where there are enough."""
    predictions = list(predictions)
    found = [each for each in predictions if each.label == 1 and each.probability >= threshold]
    quiet = [each for each in predictions if each.label == 0 and each.probability < threshold]
    bears = _halves([], found, most - min(most // 2, len(quiet)))
    return bears + _halves(quiet, [], most - len(bears))


def disagreements(
    first: Sequence[LabelledPrediction], second: Sequence[LabelledPrediction], thresholds: tuple[float, float]
) -> list[int]:
    """Return the places of the photos that two models call differently, those with the most different answers first.

    Both sequences are of the same photos in the same order.
    """
    pairs = list(zip(first, second, strict=True))
    places = [
        place
        for place, (one, other) in enumerate(pairs)
        if (one.probability >= thresholds[0]) != (other.probability >= thresholds[1])
    ]
    return sorted(places, key=lambda place: -abs(pairs[place][0].probability - pairs[place][1].probability))


def _halves(low: list[LabelledPrediction], high: list[LabelledPrediction], most: int) -> list[LabelledPrediction]:
    """Return the lowest of some photos and the highest of others; places left by one sort go to the other."""
    low = sorted(low, key=lambda each: (each.probability, each.path))
    high = sorted(high, key=lambda each: (-each.probability, each.path))
    low = low[: max(most // 2, most - len(high))]
    return low + high[: most - len(low)]
