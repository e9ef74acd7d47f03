"""The places of a model's windows on the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import ModelConfig
from bearcnn.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows along either side of the picture; all places are shares of the side.

    Args:
        centres: of the windows, (windows,).
        side: what a window sees of the side; 0 where that isn't known, or is most of it.
    """

    centres: NDArray[np.float64]
    side: float = 0.0

    @classmethod
    def spread(cls, count: int) -> "Windows":
        """Spread so many windows evenly."""
        return cls((np.arange(count) + 0.5) / count)

    def edges(self) -> NDArray[np.float64]:
        """Return where the places begin that are nearest to each window, and the end: (windows + 1,)."""
        return np.array([0, *((self.centres[1:] + self.centres[:-1]) / 2), 1])

    def frame(self, window: int) -> tuple[float, float]:
        """Return the part of the side to frame for a window: what it sees; or the places nearest to it."""
        if not self.side:
            edges = self.edges()
            return float(edges[window]), float(edges[window + 1])
        centre = float(self.centres[window])
        return max(0.0, centre - self.side / 2), min(1.0, centre + self.side / 2)


def find_windows(manifest: Manifest, count: int) -> Windows:
    """Find the windows of a model with `count` of them along either side.

    Without a known configuration they are spread evenly.
    """
    known = {key: value for key, value in manifest.config.get("model", {}).items() if key in ModelConfig.model_fields}
    try:
        field = ModelConfig.model_validate(known).receptive_fields[-1][1] if known else None
    except ValueError:  # the configuration of a later version, or a body that only the network itself knows
        field = None
    if field is not None:
        centres = field.centres(count, manifest.image_size)
        if centres[-1] < 1:
            return Windows(centres, field.size / manifest.image_size if field.size < manifest.image_size else 0.0)
    return Windows.spread(count)
