"""The activations of a trained network on one photo, step by step, as numbers that the figures draw.

Everything is measured on the network itself, with its layers and weights: no second computation could differ from
training and prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.bodies import NO_BODY
from bearcnn.config import ModelConfig
from bearcnn.geometry import ReceptiveField, receptive_fields
from bearcnn.inference.windows import Windows, find_windows
from bearcnn.manifest import Manifest
from bearcnn.model.layers import PixelDropout, local_pool
from bearcnn.model.network import BearCNN, Block, bear_logit

SHOWN_RATE = 0.5  # of a dropout that the network was trained without
MASKS = 100
COLORS = ("red", "green", "blue")

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network and the photo that it looks at."""

    network: BearCNN
    manifest: Manifest
    model: ModelConfig
    pixels: NDArray[np.uint8]  # (size, size, 3), as the network gets them
    name: str

    @property
    def positive(self) -> str:
        """The name of the positive class."""
        return self.manifest.classes[1]

    @property
    def mean(self) -> float:
        """What the network takes from each pixel first; 0 where a body does so itself."""
        return 0.0 if self.network.normalize is None else float(self.network.normalize.mean)

    @property
    def std(self) -> float:
        """What it divides each pixel by then; 1 where a body does so itself."""
        return 1.0 if self.network.normalize is None else float(self.network.normalize.std)

    @property
    def fields(self) -> list[tuple[ReceptiveField, ReceptiveField]]:
        """What the places of each block's maps see; where only the body knows, about all of the photo."""
        model, size = self.model, self.manifest.image_size
        if model.body == NO_BODY or model.known_body:
            return model.receptive_fields
        step = size // self.network.stem(self.batch()).shape[2]
        start = ReceptiveField(size, step, (step - 1) / 2)
        return receptive_fields(model.kernel_sizes, model.residuals, model.strides, model.pool_size, start=start)

    def describe_view(self, field: ReceptiveField) -> str:
        """Return in words what a place sees of the photo."""
        size = self.manifest.image_size
        if field.size >= 2 * size - 1:  # from one corner to the other
            return "all of the photo"
        if field.size >= size:
            return "most of the photo"
        return f"{field.size} × {field.size} pixels"

    def frame(self, field: ReceptiveField) -> ReceptiveField:
        """Return the pixels to frame for a place: those that it sees, or its own where it sees most through a body."""
        if self.network.body is None or field.size < self.manifest.image_size:
            return field
        return ReceptiveField(field.step, field.step, field.first)

    def batch(self) -> Tensor:
        """Build the network's input, (1, 3, size, size)."""
        return torch.from_numpy(self.pixels.copy()).permute(2, 0, 1)[None]

    def probability(self, logits: Tensor) -> Tensor:
        """Compute the calibrated probability of a bear: (batch, outputs, ...) to (batch, ...)."""
        return (bear_logit(logits, self.network.output_classes) / self.manifest.temperature).sigmoid()


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of one block, and the receptive field of their places."""

    number: int
    maps: Array  # (channels, rows, columns)
    field: ReceptiveField


@dataclass(frozen=True, slots=True)
class ConvolutionStep:
    """The computation of one number of the first layer's maps; arrays are (3, kernel, kernel), one for each input.

    The inputs are red, green and blue; with a body, the three of its maps whose share of the number is largest.
    """

    inputs: tuple[str, str, str]
    rest: float  # what all other maps of the body add
    channel: int
    row: int
    column: int
    field: ReceptiveField
    window: Array
    kernel: Array
    products: Array
    sums: Array  # (3,), of each input
    total: float  # with the convolution's bias, if it has one
    bias: float
    mean: float  # batch norm: (total - mean) / deviation * scale + shift; without one, that is the total
    deviation: float
    scale: float
    shift: float
    normed: float
    value: float  # after ReLU: the number in the map
    map: Array  # (rows, columns)


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
def find_maps(subject: Subject) -> list[Maps]:
    """Compute the first convolution's maps, then the last maps of each later block."""
    fields = subject.fields
    network = subject.network
    maps = network.input_dropout(network.stem(subject.batch()))
    found = [Maps(1, _array(_first_block(network).convolution(maps)[0]), fields[0][0])]
    for number, block in enumerate(network.blocks, 1):
        maps = block(maps)
        if number > 1:
            found.append(Maps(number, _array(maps[0]), fields[number - 1][1]))
    return found


def kernels(network: BearCNN) -> Array:
    """Return the first layer's kernels, (channels, 3, side, side): with a body, on the maps that count most in each."""
    weight = _first_block(network).convolution[0].weight.detach()
    if network.body is not None:
        strongest = weight.flatten(2).norm(dim=2).topk(3, dim=1).indices.sort(dim=1).values  # (channels, 3)
        weight = torch.stack([kernel[maps] for kernel, maps in zip(weight, strongest, strict=True)])
    return _array(weight)


@torch.no_grad()
def body_maps(subject: Subject) -> Array:
    """Compute the maps of the network's pretrained body, (channels, rows, columns)."""
    return _array(subject.network.stem(subject.batch())[0])


@torch.no_grad()
def take_step(subject: Subject) -> ConvolutionStep:
    """Find the first convolution's largest number with its window inside the photo, and compute it step by step."""
    convolution, norm, _ = layers = _first_block(subject.network).convolution
    image = subject.network.stem(subject.batch())
    maps = layers(image)[0]  # (channels, rows, columns)
    side, stride, padding = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
    first, last = -(-padding // stride), (image.shape[-1] - side + padding) // stride
    if last < first:  # the kernel is larger than the photo
        first, last = 0, maps.shape[-1] - 1
    inner = maps[:, first : last + 1, first : last + 1]
    channel, row, column = (int(part) for part in np.unravel_index(int(inner.argmax()), tuple(inner.shape)))
    row, column = row + first, column + first
    padded = F.pad(image, [padding] * 4)[0]
    window = padded[:, row * stride : row * stride + side, column * stride : column * stride + side]
    kernel = convolution.weight[channel]
    products = window * kernel
    sums = products.sum((1, 2))
    chosen = torch.arange(3)
    if subject.network.body is not None:
        chosen = sums.abs().topk(3).indices.sort().values
    names = tuple(f"map {int(each) + 1}" for each in chosen) if subject.network.body is not None else COLORS
    bias = 0.0 if convolution.bias is None else float(convolution.bias[channel])
    total = float(products.sum()) + bias
    mean, deviation, scale, shift = 0.0, 1.0, 1.0, 0.0
    if not isinstance(norm, nn.Identity):
        mean, deviation = float(norm.running_mean[channel]), float((norm.running_var[channel] + norm.eps).sqrt())
        scale, shift = float(norm.weight[channel]), float(norm.bias[channel])
    return ConvolutionStep(
        inputs=(names[0], names[1], names[2]),
        rest=float(sums.sum() - sums[chosen].sum()),
        channel=channel,
        row=row,
        column=column,
        field=subject.fields[0][0],
        window=_array(window[chosen]),
        kernel=_array(kernel[chosen]),
        products=_array(products[chosen]),
        sums=_array(sums[chosen]),
        total=total,
        bias=bias,
        mean=mean,
        deviation=deviation,
        scale=scale,
        shift=shift,
        normed=(total - mean) / deviation * scale + shift,
        value=float(maps[channel, row, column]),
        map=_array(maps[channel]),
    )


@torch.no_grad()
def pool_map(one_map: Array, pooling: str, size: int) -> Array:
    """Pool a map (rows, columns) with the network's own layer: (1 or 2, rows // size, columns // size)."""
    return _array(local_pool(pooling, size)(torch.from_numpy(one_map)[None, None])[0])


@torch.no_grad()
def score_windows(subject: Subject) -> WindowScores:
    """Compute each window's score, the answer for the photo, and the steps between the two."""
    network = subject.network
    last = network.last_map(subject.batch())
    mean, strongest = last.mean((2, 3), keepdim=True), last.amax((2, 3), keepdim=True)
    flat = last[0].flatten(1)
    winners = torch.bincount(flat.argmax(1)[flat.amax(1) > 0], minlength=flat.shape[1]).view(last.shape[2:])
    return WindowScores(
        scores=_array(subject.probability(network.class_activation_map(last))[0]),
        windows=find_windows(subject.manifest, last.shape[2]),
        field=subject.fields[-1][1],
        answer=float(subject.probability(network.logits(last))),
        mean_window=float(subject.probability(network.class_activation_map(mean))),
        strongest=float(subject.probability(network.class_activation_map(strongest))),
        winners=winners.numpy(),
        features=last.shape[1],
    )


@torch.no_grad()
def try_dropout(subject: Subject, masks: int = MASKS, seed: int = 0) -> list[DropoutTrial]:
    """Try each of the network's three dropouts alone, with `masks` masks; the same seed draws the same masks."""
    network, model = subject.network, subject.model
    image = network.stem(subject.batch())
    rest = network.blocks[1:]
    channels = _first_block(network)(image)
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
            trials.append(DropoutTrial(what, configured, rate, shown, _array(answers), _array(before[0])))
    return trials


def most_active(maps: Array, count: int) -> NDArray[np.int64]:
    """Find the channels whose values differ most over the photo, (count,), the most active first."""
    activity = maps.std((1, 2))
    return np.argsort(-activity, kind="stable")[:count]


def _first_block(network: BearCNN) -> Block:
    block = network.blocks[0]
    assert isinstance(block, Block)
    return block


def _array(tensor: Tensor) -> Array:
    return tensor.detach().float().numpy()
