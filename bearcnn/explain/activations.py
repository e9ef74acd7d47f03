"""The activations of a trained network on one photo, as numbers that the figures draw.

Everything is measured on the network itself, with its layers and weights: no second computation could differ from
training and prediction.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bearcnn.explain.contributions import Trace, choose_place, pooling_words
from bearcnn.explain.subject import Array, Focus, Place, Subject, block_of, split_layer, to_array
from bearcnn.geometry import ReceptiveField
from bearcnn.inference.windows import Windows, find_windows
from bearcnn.model.layers import local_pool
from bearcnn.model.network import BearCNN


@dataclass(frozen=True, slots=True)
class WindowScores:
    """Each window's score, and the parts of the answer for the whole photo."""

    scores: Array  # (rows, columns), the probability of a bear in each window alone
    windows: Windows
    field: ReceptiveField
    answer: float
    mean_window: float  # the head's answer to the average over all windows of each feature
    strongest: float  # the head's answer to the maximum over all windows of each feature
    winners: NDArray[np.int64]  # (rows, columns), the number of features that are largest in this window
    features: int

    @property
    def best(self) -> tuple[int, int]:
        """The row and the column of the best window."""
        row, column = np.unravel_index(int(self.scores.argmax()), self.scores.shape)
        return int(row), int(column)

    def nearest(self, at: tuple[float, float]) -> tuple[int, int]:
        """Find the row and the column of the window whose centre is nearest to a place (across, down) in shares."""
        column, row = (int(np.abs(self.windows.centres - share).argmin()) for share in at)
        return row, column


def kernels(network: BearCNN) -> Array:
    """Return the first layer's kernels, (channels, 3, side, side): with a body, on the maps that count most in each."""
    convolution, _, _ = split_layer(block_of(network, 1).convolution)
    weight = convolution.weight.detach()
    if network.body is not None:
        strongest = weight.flatten(2).norm(dim=2).topk(3, dim=1).indices.sort(dim=1).values  # (channels, 3)
        weight = torch.stack([kernel[maps] for kernel, maps in zip(weight, strongest, strict=True)])
    return to_array(weight)


@dataclass(frozen=True, slots=True)
class PooledMap:
    """One map of the first block that pools in windows, before and after."""

    block: int
    place: Place  # in the map before pooling
    before: Array  # (rows, columns)
    pooled: Array  # (kinds, rows // size, columns // size)
    words: tuple[str, ...]  # of the kinds, such as "largest" and "average"
    size: int

    @property
    def piece(self) -> tuple[int, int, int]:
        """The first row and column of the windows to show in numbers, and how many of them along a side."""
        places = self.pooled.shape[1]
        count = min(2, places)
        row, column = (min(each // self.size, places - count) for each in (self.place.row, self.place.column))
        return row, column, count


@torch.no_grad()
def find_pooled(subject: Subject, traced: Trace, focus: Focus) -> PooledMap | None:
    """Pool a map of the first block that does so, around its most telling place; None where no block does."""
    model = subject.model
    pooling = [number for number, stride in enumerate(model.strides, 1) if stride == 1 and model.pool_size > 1]
    if not pooling:
        return None
    number = pooling[0]
    block, convolved = block_of(subject.network, number), traced.convolved[number - 1]
    place = choose_place(subject, convolved, focus if number == 1 else Focus(at=focus.at))
    maps = torch.from_numpy(convolved.maps)[None]
    for layer in block.residuals:
        maps = maps + layer(maps)
    before = to_array(maps[0, place.kernel])
    pooled = pool_map(before, model.pooling, model.pool_size)
    return PooledMap(number, place, before, pooled, pooling_words(model.pooling), model.pool_size)


@torch.no_grad()
def pool_map(one_map: Array, pooling: str, size: int) -> Array:
    """Pool a map (rows, columns) with the network's own layer: (kinds, rows // size, columns // size)."""
    return to_array(local_pool(pooling, size)(torch.from_numpy(one_map)[None, None])[0])


@torch.no_grad()
def score_windows(subject: Subject) -> WindowScores:
    """Compute each window's score, the answer for the photo, and the steps between the two."""
    network = subject.network
    last = network.last_map(subject.batch())
    mean, strongest = last.mean((2, 3), keepdim=True), last.amax((2, 3), keepdim=True)
    flat = last[0].flatten(1)
    winners = torch.bincount(flat.argmax(1)[flat.amax(1) > 0], minlength=flat.shape[1]).view(last.shape[2:])
    return WindowScores(
        scores=to_array(subject.probability(network.class_activation_map(last))[0]),
        windows=find_windows(subject.manifest, last.shape[2]),
        field=subject.fields[-1][1],
        answer=float(subject.probability(network.logits(last))),
        mean_window=float(subject.probability(network.class_activation_map(mean))),
        strongest=float(subject.probability(network.class_activation_map(strongest))),
        winners=winners.numpy(),
        features=last.shape[1],
    )
