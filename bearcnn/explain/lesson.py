"""The lesson about one photo: each part computed once, when it is first asked for."""

from functools import cached_property

import numpy as np

from bearcnn.explain.activations import PooledMap, WindowScores, find_pooled, kernels, score_windows
from bearcnn.explain.contributions import HeadParts, Trace, choose_place, split_log_odds, trace
from bearcnn.explain.convolution import (
    ConvolutionStep,
    Edge,
    MatrixProduct,
    Strides,
    compare_strides,
    find_edge,
    multiply,
    next_place,
    take_step,
)
from bearcnn.explain.dropout import DropoutTrial, try_dropout
from bearcnn.explain.features import FeatureStep, combine_features
from bearcnn.explain.figures import choose_kernels
from bearcnn.explain.subject import Array, Focus, Place, Subject

MULTIPLIED = 8  # kernels in the matrix product


class Lesson:
    """All parts of an explanation, of one network and one photo."""

    def __init__(self, subject: Subject, focus: Focus) -> None:
        """Check that there is such a kernel.

        Raises:
            BearcnnError: there isn't.
        """
        subject.check(focus)
        self.subject, self.focus = subject, focus

    @cached_property
    def traced(self) -> Trace:
        """The maps, and their parts of the answer."""
        return trace(self.subject)

    @cached_property
    def kernels(self) -> Array:
        """The first layer's kernels."""
        return kernels(self.subject.network)

    @cached_property
    def place(self) -> Place:
        """The number of the first layer's maps that the lesson is about."""
        return choose_place(self.subject, self.traced.convolved[0], self.focus)

    @property
    def which(self) -> str:
        """How that place was chosen, in a sentence."""
        called = self.subject.manifest.classes[self.subject.is_positive]
        here = "" if self.focus.at is None else " at the given place"
        kernel = "the given kernel" if self.focus.kernel is not None else f"the kernel that speaks most for {called}"
        if self.focus.at is not None:
            return f"This is {kernel}{here}."
        return f"This is {kernel}, at the place where it contributes most."

    @cached_property
    def step(self) -> ConvolutionStep:
        """The computation of that number."""
        return take_step(self.subject, self.traced.convolved[0], self.place)

    @cached_property
    def following(self) -> ConvolutionStep | None:
        """The computation of the next one; None where that was the last."""
        place = next_place(self.place, *self.step.map.shape)
        return None if place is None else take_step(self.subject, self.traced.convolved[0], place)

    @cached_property
    def strides(self) -> Strides:
        """Its map with stride 1 and stride 2."""
        return compare_strides(self.subject, self.traced.convolved[0], self.place.kernel)

    @cached_property
    def product(self) -> MatrixProduct:
        """Some places and kernels as a matrix product."""
        first = self.traced.convolved[0]
        chosen = choose_kernels(first.by_map, MULTIPLIED, self.place.kernel)
        return multiply(self.subject, first, self.step, chosen)

    @cached_property
    def edge(self) -> Edge:
        """A kernel made by hand."""
        return find_edge(self.subject, self.focus)

    @cached_property
    def features(self) -> FeatureStep | None:
        """A number of the second block; None where there is none."""
        return combine_features(self.subject, self.traced, self.focus)

    @cached_property
    def head(self) -> HeadParts:
        """The answer as a sum."""
        return split_log_odds(self.subject)

    @property
    def feature(self) -> int:
        """The last map whose part speaks most for the answer."""
        return int(np.argmax(self.subject.direction * self.head.by_map))

    @cached_property
    def pooled(self) -> PooledMap | None:
        """A map of the first block that pools in windows; None where no block does."""
        return find_pooled(self.subject, self.traced, self.focus)

    @cached_property
    def windows(self) -> WindowScores:
        """The score of each window."""
        return score_windows(self.subject)

    @cached_property
    def dropout(self) -> list[DropoutTrial]:
        """The answers under dropout."""
        return try_dropout(self.subject)
