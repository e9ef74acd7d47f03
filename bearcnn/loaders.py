"""Cache -> fastai DataLoaders; batch augmentation.

A batch is one slice of the decoded pixels, augmented as a whole: nothing is done photo by photo in Python. Everything
random about a batch (order, augmentation) is a function of (seed, epoch, batch) and of nothing else, so that a resumed
run sees what an uninterrupted one would have seen, and two runs that differ in dropout see the same photos.
"""

import bearcnn.compatibility  # noqa: F401

# isort: split
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bearcnn.config import AugmentConfig, Config
from bearcnn.dataset import Dataset


class PixelLoader(DataLoader):
    """Batches of (pixels, labels) from decoded pixels.

    For training: shuffled, augmented, float (batch, 3, n, n) in 0 to 1, the rest that fills no batch left for another
    epoch. Else: in order, as they are, uint8 (batch, 3, n, n). `epoch` is set from outside before each epoch.

    Args:
        pixels: uint8 (photos, n, n, 3), usually a memory map.
        rows: the photos of this loader, as rows of `pixels`.
        labels: 0 or 1 for each of `rows`.
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
        self.pixels, self.rows, self.labels = pixels, rows, labels
        self.augment, self.sampling, self.seed = augment, sampling, seed
        self.epoch = 0

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

    def create_batches(self, samples: Iterable[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Slices of the pixels, a batch at a time."""
        order = np.fromiter(samples, np.int64)
        for number in range(len(self)):
            chosen = order[number * self.bs : (number + 1) * self.bs]
            # (batch, n, n, 3) seen as (batch, 3, n, n): already the channels-last layout that convolutions like best.
            pixels = torch.from_numpy(self.pixels[self.rows[chosen]]).permute(0, 3, 1, 2)
            if self.augment is not None:
                pixels = augment_batch(pixels, self.augment, batch_generator(self.seed, self.epoch, number))
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            yield pixels, torch.from_numpy(self.labels[chosen])


def batch_generator(seed: int, epoch: int, number: int) -> torch.Generator:
    """Random numbers of one batch, independent of every other batch's."""
    state = np.random.SeedSequence([seed, epoch, number]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def augment_batch(pixels: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """A varied batch: uint8 (batch, 3, n, n) to float (batch, 3, n, n) in 0 to 1.

    Crop, stretch, rotation and flip are one affine map and so one resampling; what it needs from beyond the border is
    mirrored. Then brightness (a sum) and contrast (a factor around the photo's own mean).
    """
    # The resampling is fast in contiguous layout and slow in channels-last, the convolutions the other way round.
    photos = pixels.contiguous().float() / 255
    if _moves(config):
        grid = F.affine_grid(_affine_maps(len(photos), config, generator), list(photos.shape), align_corners=False)
        photos = F.grid_sample(photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if config.brightness or config.contrast:
        photos = _relight(photos, config, generator)
    return photos


def _moves(config: AugmentConfig) -> bool:
    return bool(config.flip or config.rotation or config.crop < 1 or config.stretch > 1)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _affine_maps(count: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Where each place of the new photo comes from in the old one, in coordinates of -1 to 1: (count, 2, 3)."""
    area = _uniform(count, config.crop, 1, generator)
    aspect = torch.exp(_uniform(count, -math.log(config.stretch), math.log(config.stretch), generator))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    angle = torch.deg2rad(_uniform(count, -config.rotation, config.rotation, generator))
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < config.flip).float()
    across = _uniform(count, -1, 1, generator) * (1 - width)
    down = _uniform(count, -1, 1, generator) * (1 - height)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = [cosine * width * mirror, -sine * height, across, sine * width * mirror, cosine * height, down]
    return torch.stack(rows, 1).view(count, 2, 3)


def _relight(photos: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    count = len(photos)
    widest = -math.log(1 - config.contrast)
    contrast = torch.exp(_uniform(count, -widest, widest, generator)).view(-1, 1, 1, 1)
    brightness = _uniform(count, -config.brightness, config.brightness, generator).view(-1, 1, 1, 1)
    mean = photos.mean((1, 2, 3), keepdim=True)
    return ((photos - mean) * contrast + (mean + brightness)).clamp(0, 1)


def build_loaders(config: Config, dataset: Dataset, device: torch.device) -> DataLoaders:
    """fastai DataLoaders of a data set's train and valid splits."""
    loaders = []
    for training in (True, False):
        rows, labels = dataset.arrays("train" if training else "valid")
        loader = PixelLoader(
            dataset.pixels,
            rows,
            labels,
            # Without gradients twice as many fit, and larger batches are a little faster.
            batch_size=config.train.batch_size * (1 if training else 2),
            augment=config.augment if training else None,
            sampling=training and config.train.balance == "sampling",
            seed=config.train.seed,
            device=device,
        )
        loaders.append(loader)
    return DataLoaders(*loaders, device=device)
