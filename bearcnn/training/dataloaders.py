"""Decoded pixels -> fastai DataLoaders.

A batch is one slice of the decoded pixels and stays uint8 until it is in the network. Everything random about a batch
(order, augmentation) is a function of (seed, epoch, batch) alone: a resumed run gets the batches of an uninterrupted
one, and two runs that differ only in dropout get the same batches.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.load import DataLoader
from fastai.data.transforms import Category
from fastai.torch_core import TensorCategory
from fastai.vision.core import TensorImage
from fastcore.foundation import L
from numpy.typing import NDArray
from torch import Tensor

from bearcnn.config import AugmentConfig, Config
from bearcnn.data.dataset import Dataset
from bearcnn.training.augment import Variations, apply_variations, draw_views, shrink
from bearcnn.training.maps import Maps
from bearcnn.training.pixel_dataset import PixelDataset


class PixelLoader(DataLoader):
    """Batches of (pixels, labels) from decoded pixels, uint8 (batch, 3, size, size); in training, (..., subclasses).

    If the data set has a body's maps, these take the place of the pixels: float16 (batch, channels, side, side). Of all
    augmentation, only the flip remains, and the choice among the views that have maps.

    In training (`shuffle` with `augment`) photos are shuffled and augmented, and a last batch that isn't full is
    dropped. Otherwise they are unchanged, and in order unless shuffled. `epoch` and `size` are set from outside before
    each epoch, and so are `slices` and `own`.

    A batch can be cut into slices, for several processes: slice i of n has its photos i, i + n, i + 2 n and so on. A
    loader makes its own slices, one after the other: in training as one batch, so that each step has its part; else
    all batches of its first slice, then those of the next. What a photo looks like doesn't depend on the cut.

    Args:
        dataset: the photos; or a list for `PixelDataset.with_items`, which fastai's `test_dl` gives.
        bs: number of photos in a batch.
        shuffle: whether to draw a new order for each epoch.
        drop_last: whether to drop a last batch that isn't full.
        augment: how to vary the photos in training; None for never.
        sampling: whether to draw the rarer class as often as the other, with replacement.
        seed: of order and augmentation.
        repeats: number of times that an epoch goes through the photos, each time in another order.
        size: side of the pictures in a batch; None for the side of the pixels.
        options: fastai's other arguments; `num_workers` is always 0, since worker processes are of no use here.
    """

    def __init__(
        self,
        dataset: PixelDataset | None = None,
        bs: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        *,
        augment: AugmentConfig | None = None,
        sampling: bool = False,
        seed: int = 0,
        repeats: int = 1,
        size: int | None = None,
        device: torch.device | None = None,
        **options: Any,
    ) -> None:
        known = {name: value for name, value in options.items() if name in self._methods}
        super().__init__(
            dataset, bs=bs, shuffle=shuffle, drop_last=drop_last, device=device or torch.device("cpu"), **known
        )
        assert dataset is not None
        self.augment, self.sampling, self.seed = augment, sampling, seed
        self.repeats = repeats if shuffle else 1
        self.n = len(dataset) * self.repeats  # fastai: the length of an epoch
        self.epoch, self.size = 0, size or dataset.pixels.shape[1]
        self.cut(1, (0,))
        self.n_inp = 1  # fastai: the first part of a batch is the network's input, the rest goes to the loss

    def new(self, dataset: Any = None, cls: type | None = None, **options: Any) -> "PixelLoader":
        """Build this loader with other options or other photos, as fastai's `test_dl` and `get_preds` need."""
        if dataset is not None and not isinstance(dataset, PixelDataset):
            dataset = self.dataset.with_items(list(dataset))
        kept = {"augment": self.augment, "sampling": self.sampling, "seed": self.seed, "size": self.size}
        new: PixelLoader = super().new(dataset, cls, **{**kept, **options})
        return new

    @property
    def trains(self) -> bool:
        """Whether the photos are augmented and come with their subclasses."""
        return self.augment is not None and self.shuffle

    def get_idxs(self) -> list[int]:
        """Draw the order of this epoch, as positions in the data set."""
        photos = len(self.dataset)
        if not self.shuffle:
            return list(range(photos))
        random = np.random.default_rng([self.seed, self.epoch])
        return [place for _ in range(self.repeats) for place in self._draw_order(random, photos)]

    def _draw_order(self, random: np.random.Generator, photos: int) -> list[int]:
        if not self.sampling:
            return list(random.permutation(photos).tolist())
        half = photos / 2
        parts = [
            random.choice(np.flatnonzero(self.dataset.labels == label), count, replace=True)
            for label, count in ((0, math.floor(half)), (1, math.ceil(half)))
        ]
        return list(random.permutation(np.concatenate(parts)).tolist())

    def cut(self, slices: int, own: tuple[int, ...]) -> None:
        """Cut each batch into slices, and make these from now on: from the next batch that isn't being made yet."""
        self.slices, self.own = slices, own
        self.delivered = own  # the slices in the batch that was given last

    def __len__(self) -> int:
        if self.slices == 1 or self.shuffle:
            return int(super().__len__())
        return len(self._places(np.arange(self.n)))

    def create_batches(self, samples: Iterable[int], first: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches from number `first`, each a slice of the pixels."""
        order = np.fromiter(samples, np.int64)
        batches = self._places(order)
        # The next batch is prepared while the network computes this one: OpenCV works without the GIL.
        with ThreadPoolExecutor(1) as thread:
            ahead = None
            for number in range(first, len(batches)):
                self.delivered, batch = (ahead or thread.submit(self._batch, batches[number], number)).result()
                if number + 1 < len(batches):
                    ahead = thread.submit(self._batch, batches[number + 1], number + 1)
                yield batch

    def make_slices(self, number: int, own: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Make some slices of a batch of this epoch, in training; they have the same photos in whichever process."""
        return self._batch(self._places(np.array(self.get_idxs()))[number], number, own)[1]

    def slice_sizes(self, own: Sequence[int]) -> list[int]:
        """Count the photos of some slices of a full batch."""
        return [len(range(each, self.bs, self.slices)) for each in own]

    def _places(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut an epoch's order into the positions of each batch, in training of the whole one."""
        if self.shuffle:
            return [order[start : start + self.bs] for start in range(0, len(self) * self.bs, self.bs)]
        parts = [order[each :: self.slices] for each in self.own]
        side = max(1, self.bs // self.slices)
        return [part[start : start + side] for part in parts for start in range(0, len(part), side)]

    def _cut_places(self, count: int, own: tuple[int, ...]) -> NDArray[np.int64]:
        """List the places in a batch of some slices, in training; else a batch is of one slice already."""
        places = np.arange(count)
        if not self.shuffle or self.slices == 1:
            return places
        return np.concatenate([places[each :: self.slices] for each in own])

    def _batch(
        self, whole: NDArray[np.int64], number: int, own: tuple[int, ...] | None = None
    ) -> tuple[tuple[int, ...], tuple[Tensor, ...]]:
        """Make a batch, or its slices `own`, and tell which they are."""
        data: PixelDataset = self.dataset
        own = self.own if own is None else own
        places = self._cut_places(len(whole), own)
        chosen = whole[places]
        photos = (
            self._photos(data, chosen, number, places, len(whole))
            if data.maps is None
            else self._maps(data, data.maps, chosen, number, places, len(whole))
        )
        # (batch, n, n, 3) viewed as (batch, 3, n, n): the channels-last layout, fast for convolutions.
        batch = [torch.from_numpy(np.asarray(photos)).permute(0, 3, 1, 2)]
        if data.labels is not None:
            batch.append(torch.from_numpy(data.labels[chosen]))
        if self.trains and data.subclasses is not None:
            batch.append(torch.from_numpy(data.subclasses[chosen]))
        return own, tuple(batch)

    def _photos(
        self, data: PixelDataset, chosen: NDArray[np.int64], number: int, places: NDArray[np.int64], count: int
    ) -> NDArray[np.uint8]:
        photos = data.pixels[data.rows[chosen]]
        if self.trains:
            assert self.augment is not None
            random = np.random.default_rng([self.seed, self.epoch, number])
            # Drawn for the whole batch: a photo's variation is the same, whichever process makes it.
            return apply_variations(photos, self.size, Variations.draw(count, self.augment, random)[places])
        if self.size < photos.shape[1]:
            return np.stack([shrink(photo, self.size) for photo in photos])
        return photos

    def _maps(
        self,
        data: PixelDataset,
        maps: Maps,
        chosen: NDArray[np.int64],
        number: int,
        places: NDArray[np.int64],
        count: int,
    ) -> Maps:
        views = np.zeros(count, np.int64)
        if self.trains:
            assert self.augment is not None
            random = np.random.default_rng([self.seed, self.epoch, number])
            views = draw_views(count, maps.shape[1], self.augment, random)
        return maps[data.rows[chosen], views[places]]

    def one_batch(self) -> tuple[Tensor, ...]:
        """Take a batch to look at: of photos, even if the network gets their maps."""
        if self.dataset.maps is None:
            batch: tuple[Tensor, ...] = super().one_batch()
            return batch
        return self.new(replace(self.dataset, maps=None)).one_batch()

    # The content of fastai's displays; fastai draws them.

    def decode_batch(self, batch: Sequence[Tensor], max_n: int = 9, full: bool = True) -> L:
        """Convert a batch to photos and class names of fastai's types: at most `max_n` tuples."""
        names = [Category(self.dataset.classes[int(label)]) for label in batch[1][:max_n]] if len(batch) > 1 else []
        photos = [TensorImage(photo.cpu()) for photo in batch[0][:max_n]]
        return L(zip(photos, names, strict=True)) if names else L((photo,) for photo in photos)

    def _pre_show_batch(self, batch: Sequence[Tensor], max_n: int = 9) -> tuple[TensorImage, TensorCategory | None, L]:
        labels = TensorCategory(batch[1].cpu()) if len(batch) > 1 else None
        return TensorImage(batch[0].cpu()), labels, self.decode_batch(batch, max_n)

    show_batch = TfmdDL.show_batch
    show_results = TfmdDL.show_results


def build_dataloaders(config: Config, dataset: Dataset, device: torch.device, maps: Maps | None = None) -> DataLoaders:
    """Build fastai's DataLoaders of a data set's train and valid splits, or of a body's `maps` of them.

    Where there are no validation photos, as with `train.folds`, the second loader has no batch.
    """
    train = PixelDataset.from_split(dataset, "train", config.data.resize, config.train.subclasses, maps)
    valid = PixelDataset.from_split(dataset, "valid", config.data.resize, config.train.subclasses, maps)
    batch_size = min(config.train.batch_size, len(train))
    steps = -(-config.train.min_steps // config.train.epochs)  # of an epoch, at least
    return DataLoaders(
        PixelLoader(
            train,
            batch_size,
            shuffle=True,
            drop_last=True,
            device=device,
            augment=config.augment,
            sampling=config.train.balance == "sampling",
            seed=config.train.seed,
            repeats=max(1, -(-steps // (len(train) // batch_size))),
        ),
        # Without gradients twice as many fit into memory, and larger batches are a little faster.
        PixelLoader(valid, max(1, min(2 * config.train.batch_size, len(valid))), device=device, seed=config.train.seed),
        device=device,
    )
