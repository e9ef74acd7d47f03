"""The photos of one split as decoded pixels, in the role of fastai's `Datasets`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.data.transforms import CategoryMap
from fastai.torch_core import TensorCategory
from fastai.vision.core import TensorImage
from numpy.typing import NDArray
from PIL import Image

from bearcnn.data.dataset import Dataset
from bearcnn.data.photos import load_pixels, resize_photo
from bearcnn.data.splits import Example, Split
from bearcnn.geometry import ResizeMode
from bearcnn.training.maps import Maps

Photo = Example | Path | str | bytes | Image.Image | NDArray[np.uint8]
"""A photo for `test_dl` and `predict`: an example of the data set, a path, bytes, a PIL image or an array."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelDataset:
    """The photos of one split, in the role of fastai's `Datasets`: `dls.train_ds` and `dls.valid_ds`.

    Args:
        items: the examples, or new photos as they were given.
        pixels: uint8 (photos, n, n, 3), usually a memory map.
        rows: the row of `pixels` that belongs to each item, (items,).
        labels: 0 or 1 for each item, (items,); None for photos without labels.
        subclasses: the output of the network that each item belongs to, (items,); None if subclasses aren't trained.
        classes: the names of the negative and the positive class.
        resize: how photos become squares.
        maps: a pretrained body's maps, in the rows of `pixels`, that the network gets instead of them; None for none.
    """

    items: Sequence[Any]
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    subclasses: NDArray[np.int64] | None
    classes: tuple[str, str]
    resize: ResizeMode
    maps: Maps | None = None

    @classmethod
    def from_split(
        cls, dataset: Dataset, split: Split, resize: ResizeMode, subclasses: bool, maps: Maps | None = None
    ) -> "PixelDataset":
        """Build the data set of one split; training photos have subclasses if `subclasses` is true."""
        rows, labels = dataset.arrays(split)
        of_items = (dataset.subclasses()[1] if subclasses else labels) if split == "train" else None
        return cls(dataset.select(split), dataset.pixels, rows, labels, of_items, dataset.classes, resize, maps)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[TensorImage, TensorCategory] | tuple[TensorImage]:
        """Return one photo, uint8 (3, n, n), and its label if it is known, as types that fastai can show."""
        photo = TensorImage(torch.from_numpy(np.array(self.pixels[self.rows[index]])).permute(2, 0, 1))
        return (photo,) if self.labels is None else (photo, TensorCategory(int(self.labels[index])))

    @property
    def vocab(self) -> CategoryMap:
        """The class names, in fastai's form."""
        return CategoryMap(list(self.classes), sort=False)

    def with_items(self, items: Sequence[Photo]) -> "PixelDataset":
        """Build a data set of other photos: examples keep their pixels and labels, all others are decoded.

        They have no maps: a network with a body computes them.

        Raises:
            PhotoError: a photo can't be read.
        """
        if items and all(isinstance(item, Example) for item in items):
            examples = [item for item in items if isinstance(item, Example)]
            rows = np.array([example.row for example in examples], np.int64)
            labels = np.array([example.label for example in examples], np.int64)
            return replace(self, items=examples, rows=rows, labels=labels, subclasses=None, maps=None)
        side = self.pixels.shape[1]
        decoded = [self._decode(item, side) for item in items]
        pixels = np.stack(decoded) if decoded else np.empty((0, side, side, 3), np.uint8)
        rows = np.arange(len(items))
        return replace(self, items=items, pixels=pixels, rows=rows, labels=None, subclasses=None, maps=None)

    def new_empty(self) -> "PixelDataset":
        """Build a data set without photos, which can still prepare new ones; `Learner.export` keeps it."""
        return self.with_items([])

    def _decode(self, item: Photo, side: int) -> NDArray[np.uint8]:
        if isinstance(item, Example):
            return np.asarray(self.pixels[item.row])
        if isinstance(item, Image.Image):
            return resize_photo(item.convert("RGB"), side, self.resize)
        if isinstance(item, np.ndarray):
            return resize_photo(Image.fromarray(item), side, self.resize)
        return load_pixels(BytesIO(item) if isinstance(item, bytes) else Path(item), side, self.resize)
