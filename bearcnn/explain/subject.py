"""What an explanation is about: a network, the photo that it looks at, and its answer."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bearcnn.bodies import NO_BODY
from bearcnn.config import ModelConfig
from bearcnn.errors import BearcnnError
from bearcnn.evaluation.formats import decimal
from bearcnn.geometry import ReceptiveField, receptive_fields
from bearcnn.manifest import Manifest
from bearcnn.model.network import BearCNN, Block, bear_logit

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Focus:
    """What the reader asked to see: a kernel of the first layer, from 0, and a place; None for the most telling one.

    The place is (across, down), as shares of the sides of the square that the network gets.
    """

    kernel: int | None = None
    at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A network and the photo that it looks at."""

    network: BearCNN
    manifest: Manifest
    model: ModelConfig
    pixels: NDArray[np.uint8]  # (size, size, 3), as the network gets them
    name: str
    run: str = ""  # the run's folder, or the weights' file

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

    @torch.no_grad()
    def answer(self) -> float:
        """Compute the calibrated probability of a bear in the photo."""
        return float(self.probability(self.network(self.batch())))

    @property
    def is_positive(self) -> bool:
        """Whether the answer is the positive class, at the model's threshold."""
        return self.answer() >= self.manifest.threshold

    @property
    def direction(self) -> int:
        """1 where the answer is the positive class, else -1: parts of the log odds times this speak for the answer."""
        return 1 if self.is_positive else -1

    def describe(self) -> str:
        """Return in one line whose picture this is: answer, photo, model, size, run."""
        called = self.manifest.classes[self.is_positive]
        blocks = ", ".join(map(str, self.model.widths))
        before = "" if self.network.body is None else f"{self.network.body.about['name']}, then "
        size = self.manifest.image_size
        return (
            f"Answer: {called} ({self.positive} {decimal(self.answer())}) · photo {self.name} · model "
            f"{self.manifest.name}: {before}{len(self.model.widths)} block{'s' * (len(self.model.widths) > 1)} of "
            f"{blocks} maps · "
            f"{size} × {size} pixels" + (f" · run {self.run}" if self.run else "")
        )

    def check(self, focus: Focus) -> None:
        """Check that there is such a kernel and such a place.

        Raises:
            BearcnnError: there isn't.
        """
        kernels = self.model.widths[0]
        if focus.kernel is not None and not 0 <= focus.kernel < kernels:
            what = "layer" if self.network.body is None else "layer after the body"
            raise BearcnnError(f"there is no `kernel` {focus.kernel + 1}: the first {what} has kernels 1 to {kernels}")


@dataclass(frozen=True, slots=True)
class Place:
    """One number of a block's maps."""

    kernel: int
    row: int
    column: int


def nearest_place(field: ReceptiveField, count: int, image_size: int, share: float) -> int:
    """Find the place, of `count` along a side, whose centre is nearest to a share of the side."""
    return int(np.abs(field.centres(count, image_size) - share).argmin())


def block_of(network: BearCNN, number: int) -> Block:
    """Return a block, the first of which is number 1."""
    block = network.blocks[number - 1]
    assert isinstance(block, Block)
    return block


def split_layer(layer: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d | None, nn.Module]:
    """Divide a convolution layer into the convolution, its batch norm if it has one, and the activation."""
    convolution, *others = layer.children()
    norm = next((each for each in others if isinstance(each, nn.BatchNorm2d)), None)
    assert isinstance(convolution, nn.Conv2d)
    return convolution, norm, others[-1]


def to_array(tensor: Tensor) -> Array:
    """Convert a tensor to numpy, in float32."""
    array: Array = tensor.detach().float().numpy()
    return array
