"""Cache -> fastai DataLoaders; batch augmentation.

A batch is one slice of the decoded pixels and stays uint8 until it is in the network. Everything random about a batch
(order, augmentation) is a function of (seed, epoch, batch) and of nothing else, so that a resumed run sees what an
uninterrupted one would have seen, and two runs that differ in dropout see the same photos.
"""

import bearcnn._torch  # noqa: F401

# isort: split
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from numpy.typing import NDArray
from torch import Tensor

from bearcnn.config import AugmentConfig, Config
from bearcnn.data.dataset import Dataset


class PixelLoader(DataLoader):
    """Batches of (pixels, labels) from decoded pixels, uint8 (batch, 3, size, size); in training, (..., subclasses).

    For training: shuffled, augmented, the rest that fills no batch left for another epoch. Else: in order, as they are.
    `epoch` and `size` are set from outside before each epoch.

    Args:
        pixels: uint8 (photos, n, n, 3), usually a memory map.
        rows: the photos of this loader, as rows of `pixels`.
        labels: 0 or 1 for each of `rows`.
        subclasses: for training, the output of the network that each of `rows` belongs to.
        augment: how to vary the photos; None for evaluation.
        sampling: draw the rarer class as often as the other, with replacement.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        subclasses: NDArray[np.int64] | None = None,
        augment: AugmentConfig | None = None,
        sampling: bool = False,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(
            range(len(rows)),
            bs=min(batch_size, len(rows)),
            drop_last=augment is not None,
            num_workers=0,
            device=device or torch.device("cpu"),
        )
        self.pixels, self.rows, self.labels, self.subclasses = pixels, rows, labels, subclasses
        self.augment, self.sampling, self.seed = augment, sampling, seed
        self.epoch, self.size = 0, pixels.shape[1]
        self.n_inp = 1  # fastai: what comes first in a batch is the network's, the rest is the loss's

    def get_idxs(self) -> list[int]:
        """The order of this epoch, as positions in `rows`."""
        if self.augment is None:
            return list(range(len(self.rows)))
        random = np.random.default_rng([self.seed, self.epoch])
        if not self.sampling:
            return list(random.permutation(len(self.rows)).tolist())
        half = len(self.rows) / 2
        parts = [
            random.choice(np.flatnonzero(self.labels == label), count, replace=True)
            for label, count in ((0, math.floor(half)), (1, math.ceil(half)))
        ]
        return list(random.permutation(np.concatenate(parts)).tolist())

    def create_batches(self, samples: Iterable[int]) -> Iterator[tuple[Tensor, ...]]:
        """Slices of the pixels, a batch at a time."""
        order = np.fromiter(samples, np.int64)
        # The next batch is prepared while the network computes this one: OpenCV works without Python's lock.
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self._batch, order, 0)
            for number in range(1, len(self) + 1):
                batch = ahead.result()
                if number < len(self):
                    ahead = thread.submit(self._batch, order, number)
                yield batch

    def _batch(self, order: NDArray[np.int64], number: int) -> tuple[Tensor, ...]:
        chosen = order[number * self.bs : (number + 1) * self.bs]
        photos = self.pixels[self.rows[chosen]]
        if self.augment is not None:
            random = np.random.default_rng([self.seed, self.epoch, number])
            photos = augment_batch(photos, self.size, self.augment, random)
        elif self.size < photos.shape[1]:
            photos = np.stack([_shrink(photo, self.size) for photo in photos])
        # (batch, n, n, 3) seen as (batch, 3, n, n): already the channels-last layout that convolutions like.
        batch = [torch.from_numpy(photos).permute(0, 3, 1, 2), torch.from_numpy(self.labels[chosen])]
        if self.subclasses is not None:
            batch.append(torch.from_numpy(self.subclasses[chosen]))
        return tuple(batch)


def augment_batch(
    photos: NDArray[np.uint8],
    size: int,
    config: AugmentConfig,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """A varied batch: uint8 (batch, n, n, 3) to uint8 (batch, size, size, 3).

    Crop, stretch, rotation, flip and the new size are one affine map and so one resampling; what it needs from beyond
    the border is mirrored. Then brightness (a sum) and contrast (a factor around the photo's own mean). OpenCV does
    both 7 times as fast as torch's own `affine_grid` and `grid_sample`, which took a quarter of a training step.
    """
    count, old = photos.shape[:2]
    # A linear interpolation looks at 2 x 2 pixels: it would skip some of a photo that is more than twice as large.
    old //= max(old // size, 1)
    maps = _in_pixels(_affine_maps(count, config, random), old, size)
    contrasts, brightnesses = _light(count, config, random)
    varied = np.empty((count, size, size, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    for number in range(count):
        result, contrast = varied[number], contrasts[number]
        cv2.warpAffine(_shrink(photos[number], old), maps[number], (size, size), result, flags, cv2.BORDER_REFLECT)
        mean = sum(cv2.mean(result)) / 3
        # A sum with nothing: of OpenCV's ways to a x + b it is the one that ends at 0 and 255 on both sides.
        cv2.addWeighted(result, contrast, result, 0, (1 - contrast) * mean + 255 * brightnesses[number], result)
    return varied


def _shrink(photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if size == photo.shape[0]:
        return photo
    return np.asarray(cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _affine_maps(count: int, config: AugmentConfig, random: np.random.Generator) -> NDArray[np.float64]:
    """Where each place of the new photo comes from in the old one, in coordinates of -1 to 1: (count, 2, 3)."""
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
    """The same maps from the pixels of a photo of `new` a side to one of `old`; a pixel's place is its centre."""
    linear, across = affine[..., :2], affine[..., 2:]
    shift = (across + 1) * old / 2 - 0.5 + linear.sum(-1, keepdims=True) * (1 / new - 1) * old / 2
    return np.concatenate([linear * (old / new), shift], -1)


def _light(
    count: int, config: AugmentConfig, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor of the contrast and sum of the brightness of each photo, each (count,)."""
    widest = math.log(1 / (1 - config.contrast))
    return np.exp(random.uniform(-widest, widest, count)), random.uniform(-config.brightness, config.brightness, count)


def build_loaders(config: Config, dataset: Dataset, device: torch.device) -> DataLoaders:
    """fastai DataLoaders of a data set's train and valid splits."""
    loaders = []
    for training in (True, False):
        rows, labels = dataset.arrays("train" if training else "valid")
        loader = PixelLoader(
            dataset.pixels,
            rows,
            labels,
            subclasses=(dataset.subclasses()[1] if config.train.subclasses else labels) if training else None,
            # Without gradients twice as many fit, and larger batches are a little faster.
            batch_size=config.train.batch_size * (1 if training else 2),
            augment=config.augment if training else None,
            sampling=training and config.train.balance == "sampling",
            seed=config.train.seed,
            device=device,
        )
        loaders.append(loader)
    return DataLoaders(*loaders, device=device)
