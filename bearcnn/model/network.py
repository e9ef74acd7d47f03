"""BearCNN: convolution blocks, pooling, dropout, head.

The network takes the pixels as they are in a photo (uint8) and normalises them itself, so that preprocessing can't
drift between training and use. Layers take plain numbers; `build_model` turns a configuration into them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bearcnn._torch  # noqa: F401

# isort: split
import torch
from fastai.layers import ConvLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.config import ModelConfig, Pooling
from bearcnn.errors import ModelFileError

# About the statistics of photos (ImageNet's training set): fixed, so that a model never depends on a data set's own.
# One number for all channels: an 8-bit network then computes with the pixels as they come (see export.to_int8).
PHOTO_MEAN = 115
PHOTO_STD = 58


class Normalize(nn.Module):
    """Pixels to numbers around 0: uint8 (batch, 3, height, width) to float."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float = PHOTO_MEAN, std: float = PHOTO_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - self.mean) / self.std


class PixelDropout(nn.Module):
    """Dropout of a picture's pixels: one 0/1 mask over height and width, the same for all channels.

    The pixels that stay are scaled by 1 / (1 - rate), so that the mean stays (Srivastava et al. 2014). After
    `Normalize` a dropped pixel is the grey of an average photo.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, maps: Tensor) -> Tensor:  # (batch, channels, height, width)
        if not self.training or self.rate == 0:
            return maps
        return maps * F.dropout(torch.ones_like(maps[:, :1]), self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class ConcatPool(nn.Module):
    """Max and average of each window side by side: (batch, c, n, n) to (batch, 2 c, n // size, n // size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.max = nn.MaxPool2d(size)
        self.avg = nn.AvgPool2d(size)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.max(maps), self.avg(maps)], 1)


def window_pooling(pooling: Pooling, size: int) -> nn.Module:
    """The layer that asks each size x size window "is there a bear in this?"; windows don't overlap."""
    return {"max": nn.MaxPool2d, "avg": nn.AvgPool2d, "concat": ConcatPool}[pooling](size)


class MapPool(nn.Module):
    """One answer of a whole map: (batch, c, n, n) to (batch, c or 2 c).

    As fastai's `AdaptiveConcatPool2d(1)`, but reductions instead of adaptive pools: those export to ONNX with a maze of
    index arithmetic.
    """

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        if self.pooling == "max":
            return maps.amax((2, 3))
        if self.pooling == "avg":
            return maps.mean((2, 3))
        return torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1)


def pooled_width(pooling: Pooling, width: int) -> int:
    """Channels after pooling: twice as many where max and average stand side by side."""
    return 2 * width if pooling == "concat" else width


class SkippingConvolution(nn.Conv2d):
    """A 1 x 1 convolution with a stride, as one without over the places that it doesn't skip.

    The same numbers; torch 2.13's own crashes in training with 3 channels in and channels-last layout.
    """

    def forward(self, maps: Tensor) -> Tensor:  # (batch, in_width, n, n)
        return F.conv2d(maps[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)


class Block(nn.Module):
    """Convolution, norm, activation; further ones each beside a shortcut; then pooling and dropout.

    With `stride = 2` the convolution halves the map; with `stride = 1` the pooling windows do.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        *,
        kernel_size: int,
        stride: int,
        pooling: Pooling,
        pool_size: int,
        residual: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.convolution = ConvLayer(in_width, width, ks=kernel_size, stride=stride)
        if kernel_size == 1 and stride == 2:
            self.convolution[0] = SkippingConvolution(in_width, width, 1, stride, bias=False)
        self.residuals = nn.ModuleList(ConvLayer(width, width, ks=kernel_size) for _ in range(residual))
        self.pooling = window_pooling(pooling, pool_size) if stride == 1 else nn.Identity()
        self.dropout = nn.Dropout2d(dropout)
        self.out_width = pooled_width(pooling, width) if stride == 1 else width

    def forward(self, maps: Tensor) -> Tensor:  # (batch, in_width, n, n)
        maps = self.convolution(maps)
        for convolution in self.residuals:
            maps = maps + convolution(maps)
        return self.dropout(self.pooling(maps))  # (batch, out_width, n / 2, n / 2)


class BearCNN(nn.Module):
    """A small convolutional network: pixels uint8 (batch, 3, n, n) in, logits (batch, outputs) out.

    It tells apart subclasses of bear and of something else, as fine as the training photos are sorted; the two classes
    are their sums (`class_logits`). The head is one linear layer on the pooled features, so that every window of the
    last map has a bear score of its own: what the head says where that window is all there is (`window_logits`; Zhou et
    al. 2016).

    Args:
        widths: channels of each block.
        output_classes: the class of each output of the head, 0 (not bear) before 1 (bear).
        kernel_sizes: odd side of each block's convolution window.
        stride: 2 to halve the map in the convolution, 1 to halve it in pooling windows.
        pooling: "max", "avg" or "concat", for the windows and for the last map.
        pool_size: side of the pooling windows.
        residuals: further convolutions of each block, each added to its input; none unless given.
        input_dropout: share of pixels dropped, all channels of a pixel together.
        conv_dropout: share of whole channels dropped between blocks.
        dropout: share of pooled features dropped before the head.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256),
        kernel_sizes: Sequence[int] = (3, 3, 3, 3),
        *,
        output_classes: Sequence[int] = (0, 1),
        stride: int = 2,
        pooling: Pooling = "concat",
        pool_size: int = 2,
        residuals: Sequence[int] = (),
        input_dropout: float = 0.0,
        conv_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.input_dropout = PixelDropout(input_dropout)
        self.blocks = nn.Sequential()
        in_width = 3
        residuals = residuals or (0,) * len(widths)
        for number, (width, kernel_size, residual) in enumerate(zip(widths, kernel_sizes, residuals, strict=True), 1):
            block = Block(
                in_width,
                width,
                kernel_size=kernel_size,
                stride=stride,
                pooling=pooling,
                pool_size=pool_size,
                residual=residual,
                # Between blocks only: what follows the last one is the head's own dropout.
                dropout=conv_dropout if number < len(widths) else 0.0,
            )
            self.blocks.append(block)
            in_width = block.out_width
        self.pooling = MapPool(pooling)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(pooled_width(pooling, in_width), len(output_classes))
        self.output_classes = tuple(sorted(output_classes))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.logits(self.last_map(pixels))

    def last_map(self, pixels: Tensor) -> Tensor:
        """The features of the last block: (batch, width, rows, columns)."""
        maps: Tensor = self.blocks(self.input_dropout(self.normalize(pixels)))
        return maps

    def logits(self, last_map: Tensor) -> Tensor:
        """Each subclass in the whole picture: (batch, outputs)."""
        # In full precision, whatever the blocks computed with: rounded answers would rank photos as equal.
        answer: Tensor = self.head(self.dropout(self.pooling(last_map.float())))
        return answer

    def window_logits(self, last_map: Tensor) -> Tensor:
        """Each kind in each window alone: (batch, outputs, rows, columns).

        One window's maximum and average are the window itself, so its features stand once for each.
        """
        weight = self.head.weight.view(len(self.output_classes), -1, last_map.shape[1]).sum(1)
        return torch.einsum("bchw,kc->bkhw", last_map, weight) + self.head.bias.view(1, -1, 1, 1)


def class_logits(logits: Tensor, output_classes: tuple[int, ...]) -> Tensor:
    """Not-bear and bear, each the sum of its outputs' shares: (batch, outputs, ...) to (batch, 2, ...)."""
    parts = logits.split([output_classes.count(0), output_classes.count(1)], 1)
    return torch.stack([part.logsumexp(1) for part in parts], 1)


def bear_logit(logits: Tensor, output_classes: tuple[int, ...] = (0, 1)) -> Tensor:
    """How much more bear than not (log odds): (batch, outputs, ...) to (batch, ...)."""
    classes = class_logits(logits, output_classes)
    return classes[:, 1] - classes[:, 0]


def build_model(config: ModelConfig, output_classes: Sequence[int] = (0, 1)) -> BearCNN:
    """The network of a configuration, with fresh weights from torch's random numbers."""
    return BearCNN(
        config.widths,
        config.kernel_sizes,
        output_classes=output_classes,
        stride=config.stride,
        pooling=config.pooling,
        pool_size=config.pool_size,
        residuals=config.residuals,
        input_dropout=config.input_dropout,
        conv_dropout=config.conv_dropout,
        dropout=config.dropout,
    )


def load_weights(path: Path, network: BearCNN) -> None:
    """Put the weights of a safetensors file into a network of the same shape.

    Raises:
        ModelFileError: the file is missing, damaged or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the weights in {path} can't be loaded: {reason}") from None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One row of the model's table."""

    name: str
    layer: str
    output_shape: tuple[int, ...]  # without the batch
    parameters: int
    multiply_adds: int


def describe_model(model: BearCNN, image_size: int) -> list[LayerRow]:
    """Each layer's output shape, parameters and multiply-adds for one picture, measured by running one through.

    Multiply-adds count convolutions and linear layers: each output number is a dot product of one window.
    """
    rows: list[LayerRow] = []

    def record(name: str, layer: nn.Module, output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        multiply_adds = sum(
            part.weight.numel() * (output.shape[2] * output.shape[3] if isinstance(part, nn.Conv2d) else 1)
            for part in layer.modules()
            if isinstance(part, nn.Conv2d | nn.Linear)
        )
        rows.append(LayerRow(name, _describe(layer), tuple(output.shape[1:]), parameters, multiply_adds))

    def shown() -> list[tuple[str, nn.Module]]:
        named: list[tuple[str, nn.Module]] = [("input dropout", model.input_dropout)]
        for number, block in enumerate(model.blocks, 1):
            assert isinstance(block, Block)
            named.append((f"block {number}", block.convolution))
            named += [(f"block {number} +", convolution) for convolution in block.residuals]
            named += [(f"block {number}", block.pooling), (f"block {number}", block.dropout)]
        return [*named, ("pooling", model.pooling), ("dropout", model.dropout), ("head", model.head)]

    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: record(name, layer, output))
        for name, layer in shown()
        if _describe(layer)
    ]
    was_training = model.training
    device = model.head.weight.device
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8, device=device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return rows


def _describe(layer: nn.Module) -> str:
    """What the layer is, in a few words; empty for a layer that does nothing."""
    if isinstance(layer, PixelDropout):
        return f"dropout {layer.rate:g} of the pixels" if layer.rate else ""
    if isinstance(layer, nn.Dropout2d):
        return f"dropout {layer.p:g} of the channels" if layer.p else ""
    if isinstance(layer, nn.Dropout):
        return f"dropout {layer.p:g} of the features" if layer.p else ""
    if isinstance(layer, ConvLayer):
        convolution = layer[0]
        side, stride = convolution.kernel_size[0], convolution.stride[0]
        return f"convolution {side} x {side}, stride {stride}"
    if isinstance(layer, nn.Linear):
        return "linear"
    if isinstance(layer, nn.MaxPool2d):
        return f"max pooling {layer.kernel_size} x {layer.kernel_size}"
    if isinstance(layer, nn.AvgPool2d):
        return f"avg pooling {layer.kernel_size} x {layer.kernel_size}"
    if isinstance(layer, ConcatPool):
        return f"max and avg pooling {layer.max.kernel_size} x {layer.max.kernel_size}"
    if isinstance(layer, MapPool):
        return f"{layer.pooling.replace('concat', 'max and avg')} of the whole map"
    return ""
