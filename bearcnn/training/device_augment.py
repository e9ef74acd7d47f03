"""The augmentation of `augment.py` computed by torch, for photos that are on the device already.

What varies a photo is drawn by `augment.Variations` in both: this module applies it to a whole batch with a few of
torch's operations, none of which waits for the device. OpenCV rounds places to 1/32 of a pixel and torch doesn't, so
that the two differ by rounding: `tests/training/test_device_augment.py` holds the bounds.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bearcnn.training.augment import Variations, side_to_sample


def pack_variations(variations: Variations) -> Tensor:
    """Lay out a batch's variations as one tensor that can be sent to the device at once: float32 (count, 8)."""
    parts = [variations.maps.reshape(-1, 6), variations.contrasts[:, None], 255 * variations.brightnesses[:, None]]
    return torch.from_numpy(np.concatenate(parts, 1, dtype=np.float32))


def vary_on_device(photos: Tensor, size: int, packed: Tensor) -> Tensor:
    """Vary each photo as drawn: uint8 (batch, 3, n, n) to uint8 (batch, 3, size, size), channels last.

    Args:
        photos: the photos, in any layout.
        size: side of the result.
        packed: `pack_variations` of the batch, or its rows for these photos, on the photos' device.
    """
    maps, contrasts, shifts = packed[:, :6].view(-1, 2, 3), packed[:, 6], packed[:, 7]
    shrunk = _shrink(photos, side_to_sample(photos.shape[-1], size))
    places = F.affine_grid(maps, [len(photos), 3, size, size], align_corners=False)
    # "reflection" mirrors at the outer edge of the border's pixels, as cv2.BORDER_REFLECT does. Rounded because
    # OpenCV's photos are whole numbers between the two steps, and the mean is taken of those.
    varied = F.grid_sample(shrunk, places, "bilinear", "reflection", align_corners=False).round_()
    shifts = shifts + (1 - contrasts) * varied.mean((1, 2, 3))
    varied = torch.addcmul(shifts.view(-1, 1, 1, 1), varied, contrasts.view(-1, 1, 1, 1))
    return _to_pixels(varied)


def shrink_on_device(photos: Tensor, size: int) -> Tensor:
    """Shrink photos by averaging over areas: uint8 (batch, 3, n, n) to uint8 (batch, 3, size, size), channels last."""
    return photos if size == photos.shape[-1] else _to_pixels(_shrink(photos, size))


def _shrink(photos: Tensor, size: int) -> Tensor:
    """Average over areas as OpenCV's INTER_AREA, to whole numbers: float32 (batch, 3, size, size)."""
    pixels = photos.float()
    if size == photos.shape[-1]:
        return pixels
    areas = _areas(photos.shape[-1], size, photos.device)
    averages = areas @ pixels @ areas.T
    # Of 2 x 2 pixels OpenCV rounds halves up, otherwise to even.
    return averages.add_(0.5).floor_() if photos.shape[-1] == 2 * size else averages.round_()


@lru_cache(maxsize=8)
def _areas(old: int, new: int, device: torch.device) -> Tensor:
    """Compute each old pixel's share of each new one along one side: (new, old), the sum of each row is 1."""
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return torch.tensor(np.maximum(overlap, 0) * new / old, dtype=torch.float32, device=device)


def _to_pixels(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.channels_last)
