"""The pooling modes: one row each, which the configuration, the network, tables and pictures read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bearcnn.registry import Registry


@dataclass(frozen=True, slots=True)
class PoolingMode:
    """One way to reduce a window, and a whole map, to one value per feature.

    The layers are classes, or their names as "package.module:Class": then they are imported when they are used.
    """

    name: str
    words: str
    """The name in tables and pictures, such as "max and avg"."""
    width_factor: int
    """Channels out for each channel in."""
    local_layer: str | Callable[[int], Any]
    """Called with the side of the windows: (batch, c, n, n) to (batch, factor c, n // side, n // side).

    Windows don't overlap.
    """
    global_layer: str | Callable[[], Any]
    """Called without arguments: (batch, c, n, n) to (batch, factor c).

    With a factor of 2, the c features of the first kind come before the c of the second.
    """


POOLING_MODES: Registry[PoolingMode] = Registry(
    "pooling mode",
    [
        PoolingMode("max", "max", 1, "torch.nn:MaxPool2d", "bearcnn.model.layers:GlobalMaxPool"),
        PoolingMode("avg", "avg", 1, "torch.nn:AvgPool2d", "bearcnn.model.layers:GlobalAvgPool"),
        PoolingMode(
            "concat", "max and avg", 2, "bearcnn.model.layers:ConcatPool", "bearcnn.model.layers:GlobalConcatPool"
        ),
    ],
)
