"""One convolution in numbers: a step, the next one, stride 1 beside stride 2, and all of it as a matrix product."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bearcnn.explain.contributions import Convolved
from bearcnn.explain.subject import Array, Focus, Place, Subject, block_of, nearest_place, split_layer, to_array
from bearcnn.geometry import ReceptiveField

COLORS = ("red", "green", "blue")
PIECE = 6  # places along the side of a piece of a map with stride 2
EDGE = np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]], np.float32)
"""Made by hand: large where it is bright above and dark below."""


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch norm's numbers for one kernel: (total - mean) / deviation * scale + shift."""

    mean: float
    deviation: float
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class ConvolutionStep:
    """The computation of one number of a map; arrays are (shown, kernel, kernel), one for each shown input.

    The inputs of the first layer are red, green and blue; of another, those of its maps whose sums are largest.
    """

    names: tuple[str, ...]
    inputs: tuple[int, ...]
    place: Place
    field: ReceptiveField
    window: Array
    kernel: Array
    products: Array
    sums: NDArray[np.float64]  # (shown,), of each shown input
    rest: float  # the sums of all other inputs
    others: int  # how many these are
    bias: float
    total: float  # of all sums and the bias
    norm: Norm | None
    normed: float
    value: float  # after the activation: the number in the map
    map: Array  # (rows, columns)


def input_names(subject: Subject, number: int, channels: int) -> list[str]:
    """Name the inputs of a block's convolution: colours, maps of the body, or of the block before."""
    if number == 1:
        return list(COLORS) if subject.network.body is None else [f"map {each + 1}" for each in range(channels)]
    before = block_of(subject.network, number - 1)
    width = subject.model.widths[number - 2]
    if channels == width:
        return [f"map {each + 1}" for each in range(channels)]
    kinds = ("max", "average") if before.pooling_mode == "concat" else tuple(map(str, range(1, channels // width + 1)))
    return [f"map {each % width + 1}, {kinds[each // width]}" for each in range(channels)]


@torch.no_grad()
def take_step(subject: Subject, convolved: Convolved, place: Place, shown: int = 3) -> ConvolutionStep:
    """Compute one number of a block's maps, step by step, with the `shown` inputs of the largest sums written out."""
    layer = block_of(subject.network, convolved.number).convolution
    convolution, _, _ = split_layer(layer)
    side = convolution.kernel_size[0]
    # In double precision: a sum's printed digits then don't depend on the order in which it is added up.
    window = cut_window(convolved.image, convolution, place).double()
    kernel = convolution.weight[place.kernel].double()
    products = window * kernel
    sums = products.sum((1, 2))
    chosen = torch.arange(len(sums))
    if len(sums) > shown:
        chosen = sums.abs().topk(shown).indices.sort().values
    bias = 0.0 if convolution.bias is None else float(convolution.bias[place.kernel])
    total = float(products.sum()) + bias
    norm = read_norm(layer, place.kernel)
    names = input_names(subject, convolved.number, len(sums))
    normed = total if norm is None else (total - norm.mean) / norm.deviation * norm.scale + norm.shift
    assert side == kernel.shape[-1]
    return ConvolutionStep(
        names=tuple(names[int(each)] for each in chosen),
        inputs=tuple(int(each) for each in chosen),
        place=place,
        field=subject.fields[convolved.number - 1][0],
        window=to_array(window[chosen]),
        kernel=to_array(kernel[chosen]),
        products=to_array(products[chosen]),
        sums=sums[chosen].numpy(),
        rest=float(sums.sum() - sums[chosen].sum()),
        others=len(sums) - len(chosen),
        bias=bias,
        total=total,
        norm=norm,
        normed=normed,
        value=float(convolved.maps[place.kernel, place.row, place.column]),
        map=convolved.maps[place.kernel],
    )


def next_place(place: Place, rows: int, columns: int) -> Place | None:
    """Find where the window goes next: a step to the right, or to the start of the next row; None from the last."""
    if place.column + 1 < columns:
        return Place(place.kernel, place.row, place.column + 1)
    return Place(place.kernel, place.row + 1, 0) if place.row + 1 < rows else None


@torch.no_grad()
def read_norm(layer: torch.nn.Module, kernel: int) -> Norm | None:
    """Read batch norm's numbers for one kernel; None where the layer has none."""
    _, norm, _ = split_layer(layer)
    if norm is None:
        return None
    assert norm.running_mean is not None and norm.running_var is not None
    return Norm(
        float(norm.running_mean[kernel]),
        float((norm.running_var[kernel] + norm.eps).sqrt()),
        float(norm.weight[kernel]),
        float(norm.bias[kernel]),
    )


def cut_window(image: Tensor, convolution: torch.nn.Conv2d, place: Place) -> Tensor:
    """Cut what a kernel sees at a place from a convolution's input, with zeros beyond its edge: (channels, k, k)."""
    side, stride, padding = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
    assert isinstance(padding, int)
    top, left = place.row * stride, place.column * stride
    return F.pad(image, [padding] * 4)[0, :, top : top + side, left : left + side]


def input_span(subject: Subject, number: int, place: int) -> tuple[int, int]:
    """Compute the range of a block's input [first, end) that a place of its first convolution's maps sees."""
    convolution, _, _ = split_layer(block_of(subject.network, number).convolution)
    padding = convolution.padding[0]
    assert isinstance(padding, int)
    low = place * convolution.stride[0] - padding
    return low, low + convolution.kernel_size[0]


@dataclass(frozen=True, slots=True)
class Strides:
    """One map of the first layer, with each stride."""

    kernel: int
    own: int  # the stride that the network has
    every: Array  # (rows, columns) with stride 1
    other: Array  # with stride 2


@torch.no_grad()
def compare_strides(subject: Subject, convolved: Convolved, kernel: int) -> Strides:
    """Compute one map of a block's first convolution with stride 1 and with stride 2, with the same kernel."""
    layer = block_of(subject.network, convolved.number).convolution
    convolution, norm, activation = split_layer(layer)
    own = slice(kernel, kernel + 1)
    bias = None if convolution.bias is None else convolution.bias[own]

    def compute(stride: int) -> Array:
        maps = F.conv2d(convolved.image, convolution.weight[own], bias, stride, convolution.padding)
        if norm is not None:
            assert norm.running_mean is not None and norm.running_var is not None
            maps = F.batch_norm(
                maps, norm.running_mean[own], norm.running_var[own], norm.weight[own], norm.bias[own], eps=norm.eps
            )
        return to_array(activation(maps)[0, 0])

    return Strides(kernel, convolution.stride[0], compute(1), compute(2))


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a map with stride 1, and the same piece with stride 2: every other place of it."""

    rows: tuple[int, int]  # of the map with stride 1, [first, end)
    columns: tuple[int, int]
    every: Array
    other: Array
    place: tuple[int, int]  # a row and a column of the map with stride 2 that lie in the piece


def cut_piece(strides: Strides, place: tuple[int, int]) -> Piece:
    """Cut a piece around a place (row, column) of the network's own map."""
    count = max(1, min(PIECE, len(strides.other)))
    every, other = strides.every, strides.other
    middle = [each * strides.own // 2 for each in place]
    starts = [min(max(0, each - count // 2), len(other) - count) for each in middle]
    rows, columns = ((2 * start, min(2 * (start + count), len(every))) for start in starts)
    return Piece(
        rows,
        columns,
        every[slice(*rows), slice(*columns)],
        other[starts[0] : starts[0] + count, starts[1] : starts[1] + count],
        (min(middle[0], len(other) - 1), min(middle[1], len(other) - 1)),
    )


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """Some places of some maps as a matrix product: rows @ columns + rest + biases = product."""

    places: tuple[tuple[int, int], ...]  # (row, column) of each row
    kernels: tuple[int, ...]  # of each column
    names: tuple[str, ...]  # of the shown inputs
    rows: Array  # (places, shown inputs x side x side)
    columns: Array  # (shown inputs x side x side, kernels)
    rest: Array  # (places, kernels): what the other inputs add
    biases: Array  # (kernels,)
    product: Array  # (places, kernels), before norm and activation
    whole: tuple[int, int, int]  # places, numbers and kernels of the whole product
    step: tuple[int, int]  # the row and the column of the step


@torch.no_grad()
def multiply(subject: Subject, convolved: Convolved, step: ConvolutionStep, kernels: list[int]) -> MatrixProduct:
    """Write the step, and others beside it in its row, as a product with some kernels, its own among them."""
    convolution, _, _ = split_layer(block_of(subject.network, convolved.number).convolution)
    rows, columns = step.map.shape
    count = min(4, columns)
    first = min(step.place.column, columns - count)
    places = tuple((step.place.row, first + number) for number in range(count))
    windows = torch.stack([cut_window(convolved.image, convolution, Place(0, *each)) for each in places])
    weight = convolution.weight[kernels]
    chosen = list(step.inputs)
    shown_rows, shown_columns = windows[:, chosen].flatten(1), weight[:, chosen].flatten(1).T
    biases = torch.zeros(len(kernels)) if convolution.bias is None else convolution.bias[kernels]
    product = windows.flatten(1) @ weight.flatten(1).T
    return MatrixProduct(
        places=places,
        kernels=tuple(kernels),
        names=step.names,
        rows=to_array(shown_rows),
        columns=to_array(shown_columns),
        rest=to_array(product - shown_rows @ shown_columns) if step.others else np.zeros_like(to_array(product)),
        biases=to_array(biases),
        product=to_array(product + biases),
        whole=(rows * columns, convolution.weight[0].numel(), convolution.out_channels),
        step=(step.place.column - first, kernels.index(step.place.kernel)),
    )


@dataclass(frozen=True, slots=True)
class Edge:
    """A kernel made by hand, on the photo's brightness."""

    brightness: Array  # (size, size), from 0 to 1
    map: Array  # (size - 2, size - 2)
    row: int
    column: int
    window: Array  # (3, 3)
    parts: NDArray[np.float32]  # (6,), the products that aren't zero
    total: float


@torch.no_grad()
def find_edge(subject: Subject, focus: Focus) -> Edge:
    """Slide the hand-made kernel over the photo, and take its largest number, or the one at a given place."""
    brightness = torch.from_numpy(subject.pixels.mean(2, dtype=np.float32) / np.float32(255))
    answers = to_array(F.conv2d(brightness[None, None], torch.from_numpy(EDGE)[None, None])[0, 0])
    row, column = (int(part) for part in np.unravel_index(int(answers.argmax()), answers.shape))
    if focus.at is not None:
        field = ReceptiveField(3, 1, 1)
        column, row = (nearest_place(field, len(answers), subject.manifest.image_size, share) for share in focus.at)
    window = to_array(brightness[row : row + 3, column : column + 3])
    products = window * EDGE
    return Edge(
        to_array(brightness), answers, row, column, window, products[[0, 2]].ravel(), float(answers[row, column])
    )
