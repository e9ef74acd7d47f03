"""Features of features: one number of the second block, from the maps of the first."""

from dataclasses import dataclass

from bearcnn.explain.contributions import Trace, choose_place
from bearcnn.explain.convolution import ConvolutionStep, input_span, take_step
from bearcnn.explain.subject import Array, Focus, Subject, to_array

GAVE_MOST = 5


@dataclass(frozen=True, slots=True)
class FeatureStep:
    """One number of a map of block 2, and the maps of block 1 that gave most of it, by the size of their sums."""

    step: ConvolutionStep  # its inputs are the maps that gave most, in their order
    inputs: Array  # (shown, rows, columns), these maps
    down: tuple[int, int]  # the window in them, rows [first, end); it may lie partly outside
    across: tuple[int, int]
    part: float  # what the number contributes to the log odds, to first order


def combine_features(subject: Subject, traced: Trace, focus: Focus) -> FeatureStep | None:
    """Compute the number of block 2 that speaks most for the answer; None for a network of one block."""
    if len(traced.convolved) < 2:
        return None
    convolved = traced.convolved[1]
    place = choose_place(subject, convolved, Focus(at=focus.at))
    step = take_step(subject, convolved, place, GAVE_MOST)
    return FeatureStep(
        step,
        to_array(convolved.image[0, list(step.inputs)]),
        input_span(subject, 2, place.row),
        input_span(subject, 2, place.column),
        float(convolved.parts[place.kernel, place.row, place.column]),
    )
