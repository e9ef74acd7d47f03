"""Dropout on one photo: masks, and the answers under them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bearcnn.explain.subject import Array, Subject, block_of, to_array
from bearcnn.model.layers import PixelDropout

SHOWN_RATE = 0.5  # of a dropout that the network was trained without
MASKS = 100


@dataclass(frozen=True, slots=True)
class DropoutTrial:
    """One of the three dropouts: some masks, and the answers under many masks."""

    what: str  # "pixels", "channels" or "features"
    configured: float
    rate: float  # as shown: the configured one, or `SHOWN_RATE` if that is 0
    kept: tuple[
        NDArray[np.bool_], ...
    ]  # a mask each: (rows, columns) of the pixels or places, (channels,), (features,)
    answers: Array  # (MASKS,); the first belong to `kept`
    before: Array  # pixels, maps or features without dropout


@torch.no_grad()
def try_dropout(subject: Subject, masks: int = MASKS, seed: int = 0) -> list[DropoutTrial]:
    """Try each of the network's three dropouts alone, with `masks` masks; the same seed draws the same masks."""
    network, model = subject.network, subject.model
    image = network.stem(subject.batch())
    rest = network.blocks[1:]
    channels = block_of(network, 1)(image)
    features = network.pooling(network.blocks(image))
    dropouts: list[tuple[str, float, Any, Tensor, Callable[[Tensor], Tensor]]] = [
        ("pixels", model.input_dropout, PixelDropout, image, lambda maps: network.logits(network.blocks(maps))),
        ("channels", model.conv_dropout, nn.Dropout2d, channels, lambda maps: network.logits(rest(maps))),
        ("features", model.dropout, nn.Dropout, features, network.head),
    ]
    if len(model.widths) == 1:  # channel dropout is between blocks
        del dropouts[1]
    trials = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for what, configured, layer, before, answer in dropouts:
            rate = configured or SHOWN_RATE
            # The layer's output on ones is its mask; the mask times an input is the layer's output.
            shape = {"pixels": (1, *before.shape[2:]), "channels": (before.shape[1], 1, 1)}.get(what, before.shape[1:])
            ones = torch.ones(masks, *shape)
            mask = layer(rate).train()(ones)
            answers = torch.cat([subject.probability(answer(before * part)) for part in mask.split(5)])
            kept = mask[:3] > 0
            kept = kept[:, 0] if what == "pixels" else kept[:, :, 0, 0] if what == "channels" else kept
            shown = tuple(part.numpy() for part in kept)
            trials.append(DropoutTrial(what, configured, rate, shown, to_array(answers), to_array(before[0])))
    return trials


def enlarge(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Enlarge a mask (n, n) to (size, size): a place of a body's map is many pixels."""
    places = np.arange(size) * len(mask) // size
    return mask[places][:, places]
