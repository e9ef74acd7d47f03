"""What each feature, map and place contributes to the answer.

The head is linear: a feature's part of the log odds is its weight times its value, and the parts add up exactly. For
maps before the head the weight is the gradient of the log odds: gradient times activation (Shrikumar et al. 2016), the
part to first order.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bearcnn.explain.subject import Array, Focus, Place, Subject, block_of, nearest_place, split_layer, to_array
from bearcnn.model.network import BearCNN, bear_logit
from bearcnn.pooling import POOLING_MODES


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps, and the part of the log odds of each of their numbers, in favour of the positive class."""

    maps: Array  # (channels, rows, columns)
    parts: Array  # the same

    @property
    def by_map(self) -> Array:
        """Each map's part of the log odds: (channels,)."""
        total: Array = self.parts.sum((1, 2))
        return total


@dataclass(frozen=True, slots=True)
class Convolved(Maps):
    """The first convolution of a block at work; its maps are those after norm and activation."""

    number: int  # of the block, from 1
    image: Tensor  # what the convolution gets, (1, channels, rows, columns)


@dataclass(frozen=True, slots=True)
class Trace:
    """The way of the photo through the network, and the log odds' way back."""

    stem: Maps  # what the first block gets: normalized pixels, or the maps of a body
    convolved: list[Convolved]  # of each block
    ends: list[Maps]  # of each block: what the next one gets, and the head


def trace(subject: Subject) -> Trace:
    """Follow the photo through the network's blocks, and the log odds of a bear back to its maps."""
    network = subject.network
    with torch.no_grad():
        image = network.input_dropout(network.stem(subject.batch()))
    found: list[tuple[Tensor, Tensor]] = []  # input and output of each block's first convolution, then of the block

    def catch(_: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        found.append((inputs[0], output))

    blocks = [block_of(network, number) for number in range(1, len(network.blocks) + 1)]
    handles = [layer.register_forward_hook(catch) for block in blocks for layer in (block.convolution, block)]
    try:
        with torch.enable_grad():
            log_odds = bear_logit(network.logits(network.blocks(image.requires_grad_())), network.output_classes)
            outputs = [output for _, output in found]
            gradients = torch.autograd.grad(log_odds.sum(), [image, *outputs])
    finally:
        for handle in handles:
            handle.remove()
    stem, *ways = (
        (to_array(maps[0]), to_array((gradient * maps)[0]))
        for maps, gradient in zip([image, *outputs], gradients, strict=True)
    )
    return Trace(
        stem=Maps(*stem),
        convolved=[
            Convolved(*way, number, inputs.detach())
            for number, (way, (inputs, _)) in enumerate(zip(ways[::2], found[::2], strict=True), 1)
        ],
        ends=[Maps(*way) for way in ways[1::2]],
    )


def choose_place(subject: Subject, convolved: Convolved, focus: Focus) -> Place:
    """Choose the place of a block's maps that speaks most for the answer: in the map that does, unless one is given.

    At a given place, it is the map that speaks most for the answer there. Unless a place is given, its window lies
    within the convolution's input.
    """
    count = convolved.maps.shape[1]
    down, across = slice(None), slice(None)
    if focus.at is not None:
        field, size = subject.fields[convolved.number - 1][0], subject.manifest.image_size
        column, row = (nearest_place(field, count, size, share) for share in focus.at)
        down, across = slice(row, row + 1), slice(column, column + 1)
    else:
        convolution, _, _ = split_layer(block_of(subject.network, convolved.number).convolution)
        side, stride, padding = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
        assert isinstance(padding, int)
        first, last = -(-padding // stride), (convolved.image.shape[-1] - side + padding) // stride
        if last >= first:  # else the kernel is larger than its input
            down = across = slice(first, last + 1)
    parts, maps = subject.direction * convolved.parts, convolved.maps
    kernel = focus.kernel
    if kernel is None:
        totals = parts[:, down, across].sum((1, 2)) if focus.at is not None else parts.sum((1, 2))
        kernel = int(totals.argmax())
    here = parts[kernel, down, across]
    if here.max() <= 0:  # nothing there speaks for the answer
        here = maps[kernel, down, across]
    row, column = (int(part) for part in np.unravel_index(int(here.argmax()), here.shape))
    return Place(kernel, row + (down.start or 0), column + (across.start or 0))


def sort_by_part(parts: Array, count: int) -> list[int]:
    """Find the `count` maps with the largest parts, for or against, from the most for the positive class on."""
    chosen = np.argsort(-np.abs(parts), kind="stable")[:count]
    return [int(each) for each in chosen[np.argsort(-parts[chosen], kind="stable")]]


@dataclass(frozen=True, slots=True)
class HeadParts:
    """The log odds as a sum: one part for each pooled feature, and what belongs to none."""

    words: tuple[str, ...]  # how each map is pooled, such as "largest" and "average"
    features: Array  # (words, maps), pooled
    weights: Array  # (words, maps), of the log odds
    constant: float  # the biases; with several outputs, also what mixing their answers adds
    log_odds: float
    temperature: float
    maps: Array  # (maps, rows, columns), the last maps

    @property
    def parts(self) -> Array:
        """Each pooled feature's part of the log odds, (words, maps)."""
        return self.features * self.weights

    @property
    def by_map(self) -> Array:
        """Each last map's part of the log odds, (maps,)."""
        total: Array = self.parts.sum(0)
        return total


@torch.no_grad()
def split_log_odds(subject: Subject) -> HeadParts:
    """Split the log odds of a bear into the parts of the pooled features.

    A class with several outputs answers with their log-sum-exp, which is exactly their average, each weighted with its
    share in the class, plus the entropy of the shares.
    """
    network = subject.network
    last = network.last_map(subject.batch())
    features = network.pooling(last.float())[0]
    outputs = network.head(features)
    weights, constant = torch.zeros_like(features), 0.0
    for label, sign in ((1, 1), (0, -1)):
        own = _outputs_of(network, label)
        shares = outputs[own].softmax(0)
        weights += sign * (shares @ network.head.weight[own])
        constant += sign * float(shares @ network.head.bias[own] + torch.special.entr(shares).sum())
    words = pooling_words(network.pooling_mode)
    return HeadParts(
        words=words,
        features=to_array(features.view(len(words), -1)),
        weights=to_array(weights.view(len(words), -1)),
        constant=constant,
        log_odds=float(bear_logit(outputs[None], network.output_classes)),
        temperature=subject.manifest.temperature,
        maps=to_array(last[0]),
    )


def pooling_words(pooling: str) -> tuple[str, ...]:
    """Name the numbers that a pooling mode makes of one window or map."""
    mode = POOLING_MODES[pooling]
    known = {"max": ("largest",), "avg": ("average",), "concat": ("largest", "average")}
    return known.get(pooling, (mode.words,) * mode.width_factor)


def _outputs_of(network: BearCNN, label: int) -> list[int]:
    return [number for number, each in enumerate(network.output_classes) if each == label]
