"""Batches made on the device, for a GPU: a split's photos are sent there once, not in each epoch.

Order and variations are those of `PixelLoader`, drawn on the processor from the same random numbers. They are sent for
many batches at a time, while the device still computes: no batch waits for the processor, nor the processor for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fastai.data.core import DataLoaders
from numpy.typing import NDArray
from torch import Tensor

from bearcnn.training.augment import Variations, draw_views
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.device_augment import pack_variations, shrink_on_device, vary_on_device
from bearcnn.training.pixel_dataset import PixelDataset

MEMORY_SHARE = 0.5
"""The part of the device's free memory that photos may take; the network's maps and gradients need the rest."""

_DRAWN_AHEAD = 64  # batches, at most, whose variations are sent together
_CHUNK = 2**26  # bytes that are copied at a time: the photos of a large data set don't fit into the processor's memory


@dataclass(frozen=True, slots=True, eq=False)
class HeldPhotos:
    """The photos of a data set on the device, in the order of its items.

    Args:
        inputs: pixels, uint8 (items, n, n, 3); or maps, float16 (items, views, side, side, channels).
        targets: the labels, (items,), and the subclasses in training; none for photos without labels.
    """

    inputs: Tensor
    targets: tuple[Tensor, ...]

    @classmethod
    def send(cls, data: PixelDataset, device: torch.device) -> "HeldPhotos":
        """Copy the photos of a data set to the device."""
        source = data.pixels if data.maps is None else data.maps
        kind = torch.uint8 if data.maps is None else torch.float16
        inputs = torch.empty((len(data), *source.shape[1:]), dtype=kind, device=device)
        step = max(1, _CHUNK // max(1, source[:1].nbytes))
        for start in range(0, len(data), step):
            rows = data.rows[start : start + step]
            inputs[start : start + step] = torch.from_numpy(np.asarray(source[rows]))
        targets = [each for each in (data.labels, data.subclasses) if each is not None]
        return cls(inputs, tuple(torch.from_numpy(each).to(device) for each in targets))


class DeviceLoader(PixelLoader):
    """A `PixelLoader` of photos that are on the device; photos from elsewhere get a plain `PixelLoader`.

    Args:
        arguments: those of `PixelLoader`.
        held: the data set's photos.
        options: those of `PixelLoader`.
    """

    def __init__(self, *arguments: Any, held: HeldPhotos, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.held = held

    def new(self, dataset: Any = None, cls: type | None = None, **options: Any) -> PixelLoader:
        """Build this loader with other options, or a `PixelLoader` of other photos."""
        if dataset is None or dataset is self.dataset:
            return super().new(None, cls, **{"held": self.held, **options})
        return super().new(dataset, cls or PixelLoader, **options)

    def create_batches(self, samples: Iterable[int], first: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches from number `first`, each made on the device."""
        batches, ahead = self._places(np.fromiter(samples, np.int64)), 1
        while first < len(batches):  # the device waits for the first batch: it is drawn alone
            numbers = range(first, min(first + ahead, len(batches)))
            cuts = [self._cut_places(len(batches[number]), self.own) for number in numbers]
            sent = [batches[number][cut] for number, cut in zip(numbers, cuts, strict=True)]
            sizes = [len(each) for each in sent]
            places = self._send(torch.from_numpy(np.concatenate(sent))).split(sizes)
            drawn: Sequence[Tensor | None] = [None] * len(sizes)
            if self.trains:
                counts = [len(batches[number]) for number in numbers]
                drawn = self._draw(numbers, counts, cuts).split(sizes)
            for each, variations in zip(places, drawn, strict=True):
                yield self._make(each, variations)
            first, ahead = numbers.stop, min(2 * ahead, _DRAWN_AHEAD)

    def _draw(self, numbers: range, counts: list[int], cuts: list[NDArray[np.int64]]) -> Tensor:
        """Draw what varies the photos of some batches, and send it: a row for each photo, in the order of batches."""
        assert self.augment is not None
        rows = []
        for number, count, cut in zip(numbers, counts, cuts, strict=True):
            random = np.random.default_rng([self.seed, self.epoch, number])
            if self.dataset.maps is None:
                rows.append(pack_variations(Variations.draw(count, self.augment, random)[cut]))
            else:
                views = draw_views(count, self.dataset.maps.shape[1], self.augment, random)
                rows.append(torch.from_numpy(views[cut]))
        return self._send(torch.cat(rows))

    def _send(self, values: Tensor) -> Tensor:
        """Copy to the device without waiting for it, which needs memory that the system can't move."""
        device = self.held.inputs.device
        return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)

    def _make(self, places: Tensor, drawn: Tensor | None) -> tuple[Tensor, ...]:
        """Make the batch of the photos at these places, with the rows of `_draw` that vary them."""
        targets = self.held.targets if self.trains else self.held.targets[:1]
        return (self._inputs(places, drawn), *(each[places] for each in targets))

    def _inputs(self, places: Tensor, drawn: Tensor | None) -> Tensor:
        if self.dataset.maps is not None:
            views = torch.zeros_like(places) if drawn is None else drawn
            return self.held.inputs[places, views].permute(0, 3, 1, 2)
        photos = self.held.inputs[places].permute(0, 3, 1, 2)
        if drawn is not None:
            return vary_on_device(photos, self.size, drawn)
        return shrink_on_device(photos, min(self.size, photos.shape[-1]))


def keep_on_device(loaders: DataLoaders, memory: int | None = None) -> DataLoaders:
    """Put the photos of each loader on its device if they fit; a loader whose photos don't fit stays as it is.

    Args:
        loaders: `PixelLoader`s for training and validation, in this order.
        memory: bytes that they may take on the device; `MEMORY_SHARE` of a GPU's free memory unless given.
    """
    device = loaders.device
    if memory is None:
        memory = int(MEMORY_SHARE * torch.cuda.mem_get_info(device)[0])
    kept = []
    for loader in loaders.loaders:
        size = _bytes(loader.dataset)
        if size <= memory:
            memory -= size
            held = HeldPhotos.send(loader.dataset, device)
            loader = loader.new(cls=DeviceLoader, held=held, repeats=loader.repeats)
        kept.append(loader)
    return DataLoaders(*kept, device=device)


def _bytes(data: PixelDataset) -> int:
    source: NDArray[Any] = data.pixels if data.maps is None else data.maps
    return len(data) * source[:1].nbytes
