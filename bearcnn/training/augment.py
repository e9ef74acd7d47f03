"""Random augmentation of photos, a batch at a time: what is drawn for each photo, and how OpenCV applies it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bearcnn.config import AugmentConfig


@dataclass(frozen=True, slots=True, eq=False)
class Variations:
    """What is drawn for each photo of a batch, whatever applies it.

    Args:
        maps: affine maps from the new photo to the old one, in coordinates of -1 to 1, (count, 2, 3).
        contrasts: factors around the photo's own mean, (count,).
        brightnesses: sums, as shares of the brightest value, (count,).
    """

    maps: NDArray[np.float64]
    contrasts: NDArray[np.float64]
    brightnesses: NDArray[np.float64]

    @classmethod
    def draw(cls, count: int, config: AugmentConfig, random: np.random.Generator) -> "Variations":
        """Draw the variations of a batch of `count` photos."""
        return cls(_affine_maps(count, config, random), *_light(count, config, random))

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, photos: slice | NDArray[np.int64]) -> "Variations":
        """Return the variations of some photos of the batch."""
        return Variations(self.maps[photos], self.contrasts[photos], self.brightnesses[photos])


def augment_batch(
    photos: NDArray[np.uint8],
    size: int,
    config: AugmentConfig,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """Augment a batch: uint8 (batch, n, n, 3) to uint8 (batch, size, size, 3)."""
    return apply_variations(photos, size, Variations.draw(len(photos), config, random))


def apply_variations(photos: NDArray[np.uint8], size: int, variations: Variations) -> NDArray[np.uint8]:
    """Vary each photo as drawn: uint8 (batch, n, n, 3) to uint8 (batch, size, size, 3).

    Crop, stretch, rotation, flip and the new size are one affine map, with a single resampling; the photo is mirrored
    at its border. Then come brightness (a sum) and contrast (a factor around the photo's own mean). On a processor
    OpenCV is 7 times as fast as torch's `affine_grid` and `grid_sample`, which took a quarter of a training step.
    """
    count = len(photos)
    old = side_to_sample(photos.shape[1], size)
    maps = _in_pixels(variations.maps, old, size)
    varied = np.empty((count, size, size, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    for number in range(count):
        result, contrast = varied[number], variations.contrasts[number]
        cv2.warpAffine(shrink(photos[number], old), maps[number], (size, size), result, flags, cv2.BORDER_REFLECT)
        mean = sum(cv2.mean(result)) / 3
        shift = (1 - contrast) * mean + 255 * variations.brightnesses[number]
        # A sum with nothing: OpenCV's only a x + b that clips at 0 and at 255.
        cv2.addWeighted(result, contrast, result, 0, shift, result)
    return varied


def draw_views(count: int, views: int, config: AugmentConfig, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw which of its views with maps each photo of a batch shows: upright or mirrored, and which variation."""
    drawn = (random.uniform(size=count) < config.flip).astype(np.int64)
    if views > 2:
        drawn += 2 * random.integers(views // 2, size=count)
    return drawn


def side_to_sample(side: int, size: int) -> int:
    """Return the side that a photo is shrunk to before it is sampled at `size`.

    Linear interpolation reads 2 x 2 pixels: it would skip some pixels of a photo more than twice as large.
    """
    return side // max(side // size, 1)


def shrink(photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Shrink a photo by averaging over areas: uint8 (n, n, 3) to uint8 (size, size, 3)."""
    if size == photo.shape[0]:
        return photo
    return np.asarray(cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _affine_maps(count: int, config: AugmentConfig, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw random affine maps from the new photo to the old one, in coordinates of -1 to 1: (count, 2, 3)."""
    area = random.uniform(config.crop, 1, count)
    aspect = np.exp(random.uniform(-math.log(config.stretch), math.log(config.stretch), count))
    width, height = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
    angle = np.deg2rad(random.uniform(-config.rotation, config.rotation, count))
    mirror = np.where(random.uniform(size=count) < config.flip, -1, 1)
    across, down = random.uniform(-1, 1, count) * (1 - width), random.uniform(-1, 1, count) * (1 - height)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [cosine * width * mirror, -sine * height, across, sine * width * mirror, cosine * height, down]
    return np.stack(rows, 1).reshape(count, 2, 3)


def _in_pixels(affine: NDArray[np.float64], old: int, new: int) -> NDArray[np.float64]:
    """Convert the maps to pixels, from a photo of side `new` to one of side `old`; a pixel's place is its centre."""
    linear, across = affine[..., :2], affine[..., 2:]
    shift = (across + 1) * old / 2 - 0.5 + linear.sum(-1, keepdims=True) * (1 / new - 1) * old / 2
    return np.concatenate([linear * (old / new), shift], -1)


def _light(
    count: int, config: AugmentConfig, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw each photo's factor for the contrast and sum for the brightness, each (count,)."""
    widest = math.log(1 / (1 - config.contrast))
    return np.exp(random.uniform(-widest, widest, count)), random.uniform(-config.brightness, config.brightness, count)
