"""The pooling modes: one row each, which the configuration, the network, tables and pictures read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bearcnn.registry import Registry


@dataclass(frozen=True, slots=True)
class PoolingMode:
    """One way to answer "is there a bear in this?" for a window and for a whole map.

    The layers are classes, or their names as "package.module:Class", so that this table needs no torch.
    """

    name: str
    words: str
    """For tables and pictures: "max", "max and avg"."""
    width_factor: int
    """Channels out for each channel in."""
    local_layer: str | Callable[[int], Any]
    """Made with the side of the windows, which don't overlap: (batch, c, n, n) to (batch, factor c, n // side, ...)."""
    global_layer: str | Callable[[], Any]
    """Made without arguments: (batch, c, n, n) to (batch, factor c).

    The features of a factor stand one after the other: all c of the first, then all c of the second.
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
