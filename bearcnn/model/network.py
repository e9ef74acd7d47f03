"""BearCNN: convolution blocks, pooling, dropout, head.

The network takes a photo's pixels (uint8) and normalizes them itself: training and prediction can't differ in that.
Layers take plain numbers; `build_model` reads them from a configuration.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bearcnn.config import ModelConfig
from bearcnn.model.bodies import PretrainedBody, load_body
from bearcnn.model.layers import (
    Normalize,
    PixelDropout,
    convolution_layer,
    global_pool,
    local_pool,
    pooled_width,
)

_BODY = "body."
"""What the names of the body's tensors begin with."""


class Block(nn.Module):
    """Convolution, norm and activation; residual convolutions; then pooling and dropout.

    With `stride = 2` the convolution halves the map; with `stride = 1` the pooling windows do, unless they are 1 wide.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        *,
        kernel_size: int,
        stride: int,
        pooling: str,
        pool_size: int,
        residual: int,
        dropout: float,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        self.convolution = convolution_layer(in_width, width, kernel_size, stride, norm)
        self.residuals = nn.ModuleList(convolution_layer(width, width, kernel_size, 1, norm) for _ in range(residual))
        self.pooling_mode, self.pool_size = pooling, pool_size if stride == 1 else 1
        pools = self.pool_size > 1
        self.pooling = local_pool(pooling, pool_size) if pools else nn.Identity()
        self.dropout = nn.Dropout2d(dropout)
        self.out_width = pooled_width(pooling, width) if pools else width

    def forward(self, maps: Tensor) -> Tensor:  # (batch, in_width, n, n)
        maps = self.convolution(maps)
        for convolution in self.residuals:
            maps = maps + convolution(maps)
        return self.dropout(self.pooling(maps))  # (batch, out_width, n / 2, n / 2); n x n with neither


class BearCNN(nn.Module):
    """A small convolutional network: pixels uint8 (batch, 3, n, n) in, logits (batch, outputs) out.

    The outputs are the subclasses of the training photos; the two classes are their sums (`class_logits`). The head is
    one linear layer on the pooled features, and gives every window of the last map a score of its own: the head's
    answer to that window alone (`class_activation_map`; Zhou et al. 2016).

    With a pretrained body the blocks look at its maps instead of pixels. The maps of a photo never change, so they can
    be computed once: the network also takes maps (batch, channels, m, m), in any type of float, in place of the pixels.

    Args:
        widths: channels of each block.
        output_classes: the class of each output of the head, 0 (not bear) before 1 (bear).
        kernel_sizes: odd side of each block's convolution window.
        strides: 2 to halve a block's map in the convolution, 1 to halve it in pooling windows; 2 unless given.
        pooling: a name in `POOLING_MODES`, for the windows and for the last map.
        pool_size: side of the pooling windows.
        norm: what follows each convolution: batch norm, or none.
        residuals: further convolutions of each block, each added to its input; none unless given.
        input_dropout: share of pixels dropped, all channels of a pixel together.
        conv_dropout: share of whole channels dropped between blocks.
        dropout: share of pooled features dropped before the head.
        body: a pretrained network before the blocks; None for none.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256),
        kernel_sizes: Sequence[int] = (3, 3, 3, 3),
        *,
        output_classes: Sequence[int] = (0, 1),
        strides: Sequence[int] = (),
        pooling: str = "concat",
        pool_size: int = 2,
        norm: str = "batch",
        residuals: Sequence[int] = (),
        input_dropout: float = 0.0,
        conv_dropout: float = 0.0,
        dropout: float = 0.0,
        body: PretrainedBody | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.normalize = None if body is not None else Normalize()
        self.input_dropout = PixelDropout(input_dropout)
        self.blocks = nn.Sequential()
        in_width = 3 if body is None else body.out_width
        strides, residuals = strides or (2,) * len(widths), residuals or (0,) * len(widths)
        each = zip(widths, kernel_sizes, strides, residuals, strict=True)
        for number, (width, kernel_size, stride, residual) in enumerate(each, 1):
            block = Block(
                in_width,
                width,
                kernel_size=kernel_size,
                stride=stride,
                pooling=pooling,
                pool_size=pool_size,
                residual=residual,
                # Between blocks only: after the last block comes the head's dropout.
                dropout=conv_dropout if number < len(widths) else 0.0,
                norm=norm,
            )
            self.blocks.append(block)
            in_width = block.out_width
        self.pooling_mode = pooling
        self.pooling = global_pool(pooling)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(pooled_width(pooling, in_width), len(output_classes))
        self.output_classes = tuple(sorted(output_classes))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.logits(self.last_map(pixels))

    def stem(self, pixels: Tensor) -> Tensor:
        """Compute the first block's input, (batch, channels, rows, columns): normalized pixels, or the body's maps."""
        if self.body is None:
            assert self.normalize is not None
            maps: Tensor = self.normalize(pixels)
        elif pixels.dtype == torch.uint8:
            maps = self.body(pixels)
        else:
            maps = pixels.float()  # computed before, and cached
        return maps

    def last_map(self, pixels: Tensor) -> Tensor:
        """Compute the features of the last block: (batch, width, rows, columns)."""
        maps: Tensor = self.blocks(self.input_dropout(self.stem(pixels)))
        return maps

    def logits(self, last_map: Tensor) -> Tensor:
        """Compute the logit of each subclass for the whole picture: (batch, outputs)."""
        # In full precision, whatever the blocks computed with: rounded answers would give photos equal ranks.
        answer: Tensor = self.head(self.dropout(self.pooling(last_map.float())))
        return answer

    def class_activation_map(self, last_map: Tensor) -> Tensor:
        """Compute the logit of each subclass in each window alone: (batch, outputs, rows, columns).

        The maximum and the average of one window are both the window itself: the weights of the two are added.
        """
        weight = self.head.weight.view(len(self.output_classes), -1, last_map.shape[1]).sum(1)
        return torch.einsum("bchw,kc->bkhw", last_map, weight) + self.head.bias.view(1, -1, 1, 1)


def class_logits(logits: Tensor, output_classes: tuple[int, ...]) -> Tensor:
    """Sum the outputs of each class, not-bear and bear: (batch, outputs, ...) to (batch, 2, ...)."""
    parts = logits.split([output_classes.count(0), output_classes.count(1)], 1)
    return torch.stack([part.logsumexp(1) for part in parts], 1)


def bear_logit(logits: Tensor, output_classes: tuple[int, ...] = (0, 1)) -> Tensor:
    """Compute the log odds of a bear: (batch, outputs, ...) to (batch, ...)."""
    classes = class_logits(logits, output_classes)
    return classes[:, 1] - classes[:, 0]


def trained_state(network: nn.Module) -> dict[str, Tensor]:
    """Select the tensors that training changes: all but those of a body's frozen stages."""
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.startswith(_BODY) or name in learning
    }


def load_trained_state(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put trained tensors into a network; those of its body stay, unless they are among them.

    Raises:
        RuntimeError: the tensors are of another network.
    """
    kept = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(_BODY)}
    network.load_state_dict({**kept, **weights})


def build_model(
    config: ModelConfig, output_classes: Sequence[int] = (0, 1), *, body: PretrainedBody | None = None
) -> BearCNN:
    """Build the network of a configuration, with fresh weights from torch's random numbers.

    Args:
        config: the network.
        output_classes: the class of each output.
        body: the configured body, if it is loaded already; by default it is loaded with its pretrained weights.

    Raises:
        MissingPackageError, ModelFileError: the body can't be loaded.
    """
    return BearCNN(
        config.widths,
        config.kernel_sizes,
        output_classes=output_classes,
        strides=config.strides,
        pooling=config.pooling,
        pool_size=config.pool_size,
        norm=config.norm,
        residuals=config.residuals,
        input_dropout=config.input_dropout,
        conv_dropout=config.conv_dropout,
        dropout=config.dropout,
        body=body or load_body(config),
    )
