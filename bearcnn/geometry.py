"""Map sizes, receptive fields and window centres, from the numbers of a network alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ResizeMode = Literal["squish", "crop", "pad"]
"""The ways to make a photo square: the whole frame squeezed, the middle square, or the whole frame between bars."""

MAX_MEGAPIXELS = 50
"""The largest photo that is read, in million pixels in memory, unless `data.max_megapixels` says otherwise."""

MOST_TILES = 8
"""The most tiles along a photo's shorter side: with more, one photo is hundreds of pictures."""


def map_sizes(image_size: int, strides: Sequence[int], pool_size: int, *, start: int | None = None) -> tuple[int, ...]:
    """Compute the side of the map after each block, in places.

    A convolution is padded by half its kernel: with a stride of 2 it keeps every other place, ceil(n / 2). In a block
    with a stride of 1, a pooling window moves by its own size: floor(n / pool_size). `start` is the side of the first
    block's input: by default the picture's.

    Raises:
        ValueError: the map is too small to be halved in some block.
    """
    sizes = [image_size if start is None else start]
    blocks = len(strides)
    for block, stride in enumerate(strides, 1):
        size = sizes[-1]
        if size < (2 if stride == 2 else pool_size):
            shrinking = "stride 2" if stride == 2 else f"pooling windows of {pool_size}"
            raise ValueError(
                f"the map shrinks away: {image_size} px is down to {size} x {size} before block {block} of {blocks} "
                f"({shrinking}); use fewer blocks in model.widths or a larger data.image_size"
            )
        sizes.append(-(-size // 2) if stride == 2 else size // pool_size)
    return tuple(sizes[1:])


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The receptive field of a map's places in pixels of the picture, along either side (Araujo et al. 2019).

    Place number i sees `size` pixels around pixel `first + i * step`. Pixels beyond the picture's edge are zeros. A
    strip at the edge that is too narrow for a pooling window isn't seen.
    """

    size: int = 1
    step: int = 1
    first: float = 0.0

    def after(self, window: int, stride: int, padding: int) -> "ReceptiveField":
        """Compute the field after one more layer that slides a window over this map."""
        return ReceptiveField(
            self.size + (window - 1) * self.step,
            self.step * stride,
            self.first + ((window - 1) / 2 - padding) * self.step,
        )

    def span(self, place: int) -> tuple[int, int]:
        """Compute the range of pixels [first, end) that a place sees; either may lie outside the picture."""
        low = round(self.first + place * self.step - (self.size - 1) / 2)
        return low, low + self.size

    def centres(self, count: int, image_size: int) -> NDArray[np.float64]:
        """Compute the centres of the first `count` places, (count,), as shares of the picture's side.

        They aren't spread evenly: with stride 2, the first place is centred on the picture's edge.
        """
        return np.asarray((self.first + self.step * np.arange(count) + 0.5) / image_size, np.float64)


def receptive_fields(
    kernel_sizes: Sequence[int],
    residuals: Sequence[int],
    strides: Sequence[int],
    pool_size: int,
    *,
    start: ReceptiveField = ReceptiveField(),  # frozen
) -> list[tuple[ReceptiveField, ReceptiveField]]:
    """Compute the receptive field of each block after its first convolution, and at its end.

    Args:
        kernel_sizes: the side of each block's convolution window.
        residuals: the number of further convolutions in each block.
        strides: the stride of each block's first convolution.
        pool_size: the side of the pooling window at the end of each block with a stride of 1; 1 for none.
        start: what a place of the map that the first block gets sees; a pixel, unless given.
    """
    fields, field = [], start
    for kernel_size, residual, stride in zip(kernel_sizes, residuals, strides, strict=True):
        convolved = field = field.after(kernel_size, stride, kernel_size // 2)
        for _ in range(residual):
            field = field.after(kernel_size, 1, kernel_size // 2)
        if stride == 1:
            field = field.after(pool_size, pool_size, 0)
        fields.append((convolved, field))
    return fields
