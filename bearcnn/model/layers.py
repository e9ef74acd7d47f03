"""The network's layers, each made from plain numbers."""

import torch
from fastai.layers import ConvLayer, NormType
from torch import Tensor, nn
from torch.nn import functional as F

from bearcnn.pooling import POOLING_MODES
from bearcnn.registry import load

# Roughly the statistics of ImageNet's training photos, fixed: a model never depends on those of its data set.
# One number for all channels: an 8-bit network then computes with the pixels as they are (see export/int8.py).
PHOTO_MEAN = 115
PHOTO_STD = 58


class Normalize(nn.Module):
    """Normalization of pixels to numbers around 0: uint8 (batch, 3, height, width) to float."""

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

    The other pixels are scaled by 1 / (1 - rate), which keeps the mean (Srivastava et al. 2014). After `Normalize` a
    dropped pixel is the grey of an average photo.
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


class GlobalMaxPool(nn.Module):
    """The largest value of each whole map: (batch, c, n, n) to (batch, c).

    Global pools are plain reductions: adaptive pools export to ONNX with a lot of index arithmetic.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax((2, 3))


class GlobalAvgPool(nn.Module):
    """The mean of each whole map: (batch, c, n, n) to (batch, c)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


class GlobalConcatPool(nn.Module):
    """Max and average of each whole map, as fastai's `AdaptiveConcatPool2d(1)`: (batch, c, n, n) to (batch, 2 c)."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.amax((2, 3)), maps.mean((2, 3))], 1)


def local_pool(pooling: str, size: int) -> nn.Module:
    """Build the pooling layer of size x size windows, which don't overlap."""
    layer: nn.Module = load(POOLING_MODES[pooling].local_layer)(size)
    return layer


def global_pool(pooling: str) -> nn.Module:
    """Build the pooling layer of whole maps: (batch, c, n, n) to (batch, width factor x c)."""
    layer: nn.Module = load(POOLING_MODES[pooling].global_layer)()
    return layer


def pooled_width(pooling: str, width: int) -> int:
    """Return the number of channels after pooling: twice as many for max and average side by side."""
    return POOLING_MODES[pooling].width_factor * width


class StridedConv1x1(nn.Conv2d):
    """A 1 x 1 convolution with a stride, computed without a stride on the places that it keeps.

    The numbers are those of `Conv2d`, which crashes in training with 3 input channels and channels-last layout (torch
    2.13).
    """

    def forward(self, maps: Tensor) -> Tensor:  # (batch, in_width, n, n)
        return F.conv2d(maps[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)


def convolution_layer(in_width: int, width: int, kernel_size: int, stride: int, norm: str = "batch") -> ConvLayer:
    """Build a convolution, its norm and ReLU: (batch, in_width, n, n) to (batch, width, n / stride, n / stride).

    Without a norm, the convolution has a bias, and a layer that does nothing stands in the norm's place.
    """
    has_bias = norm == "none"
    layer = ConvLayer(in_width, width, ks=kernel_size, stride=stride, norm_type=None if has_bias else NormType.Batch)
    if has_bias:
        layer.insert(1, nn.Identity())
    if kernel_size == 1 and stride == 2:
        layer[0] = StridedConv1x1(in_width, width, 1, stride, bias=has_bias)
    return layer
