"""Where the windows of a model lie on the picture."""

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import ModelConfig
from bearcnn.manifest import Manifest


def window_centres(manifest: Manifest, count: int) -> NDArray[np.float64]:
    """Return the centres of `count` windows along either side of the picture, (count,), as shares of the side.

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
            return centres
    return (np.arange(count) + 0.5) / count
