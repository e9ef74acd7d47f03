"""Input and output of every engine."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Pictures as `photos.load_pixels` gives them, (n, size, size, 3)."""

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Probabilities of the positive class, for each picture (n,) and for each window of it (n, rows, columns)."""

INPUT = "pixels"
OUTPUTS = ("probability", "window_probability")
"""The names in every model file."""


class Engine(Protocol):
    """An opened model file."""

    def run(self, pixels: Pixels) -> Answers:
        """Answer a batch of pictures of the manifest's size; it may be empty. Several threads may ask at a time."""


def explain_mismatch(found: str) -> str:
    """Say that a graph's inputs and outputs are not those of its manifest."""
    return f"doesn't take and give what its manifest says ({found}); export it again with `bearcnn export`"


def explain_failure(error: Exception) -> str:
    """Say that a graph can't be computed, with the beginning of the engine's own words."""
    words = " ".join(str(error).split())
    return f"can't be computed ({words[:160] or type(error).__name__}); export it again with `bearcnn export`"
