"""A pretrained body's maps on disk: each view of a photo (upright, mirrored, variations) goes through the body once.

A frozen body gives the same maps for a photo in every epoch and in every run. They are kept beside the decoded pixels,
as float16, under a key of the body's weights, the views, the size of the pictures and each photo's digest. Where some
photos have changed, the maps of the others are copied. `bearcnn data cache` lists and deletes them.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from bearcnn.config import AugmentConfig, Config, DataConfig
from bearcnn.data.cache_folder import (
    ENTRY_NAME,
    Index,
    Photo,
    cache_root,
    find_common_folder,
    list_folders,
    new_entry,
    read_index,
    remove_unfinished,
    row_sum,
    rows_are_whole,
    write_index,
)
from bearcnn.data.dataset import Dataset
from bearcnn.errors import DataError
from bearcnn.model.bodies import SMALL_BATCH, PretrainedBody, fast_copy
from bearcnn.model.network import BearCNN
from bearcnn.model.threads import map_batches
from bearcnn.reporter import OnMaps
from bearcnn.training.augment import augment_batch

_VERSION = 1  # raised when this module writes other maps

Maps = NDArray[np.float16]
"""(rows, views, side, side, channels), in the rows of the data set's pixels; 0 for a row that is no example."""


@dataclass(frozen=True, slots=True)
class Views:
    """The pictures of a photo that have maps: upright, mirrored, then random variations, every second one mirrored.

    The variations follow from the photo's digest: they are the same in every run.
    """

    count: int = 2
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    @classmethod
    def of(cls, config: Config) -> "Views":
        """Return the views of a configuration."""
        return cls(config.train.views, config.augment)

    @property
    def key(self) -> str:
        """A text that is equal for equal views."""
        if self.count == 2:
            return ""  # as in caches from before there were others
        varied = self.augment.model_dump(exclude={"flip"}) if self.count > 2 else {}
        return f" {self.count} views {json.dumps(varied, sort_keys=True)}"

    def pictures(self, photos: NDArray[np.uint8], digests: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
        """Yield each view of some photos, uint8 (photos, n, n, 3), whose digests these are."""
        yield photos
        if self.count > 1:
            yield photos[:, :, ::-1]
        for view in range(2, self.count):
            augment = self.augment.model_copy(update={"flip": float(view % 2)})
            varied = []
            for photo, digest in zip(photos, digests, strict=True):
                seed = int.from_bytes(hashlib.blake2b(digest.encode(), digest_size=8).digest())
                varied.append(augment_batch(photo[None], len(photo), augment, np.random.default_rng([seed, view])))
            yield np.concatenate(varied)


UPRIGHT_AND_MIRRORED = Views()


def open_maps(
    body: PretrainedBody,
    dataset: Dataset,
    data: DataConfig,
    on_progress: OnMaps = lambda *_: None,
    root: Path | None = None,
    views: Views = UPRIGHT_AND_MIRRORED,
) -> Maps:
    """Open the maps of a data set's photos, memory-mapped, after computing those that the cache lacks.

    Args:
        body: the frozen body.
        dataset: the photos, decoded.
        data: their configuration.
        on_progress: is told how it goes, where something has to be computed.
        root: the cache folder, where it isn't the user's.
        views: the pictures of each photo.

    Raises:
        DataError: the cache folder can't be written.
    """
    version = f"maps {_VERSION} {body.digest()}{views.key}"
    index = _make_index(version, dataset, data)
    key = hashlib.blake2b(json.dumps([version, data.image_size, data.resize, index.digests]).encode(), digest_size=16)
    folder = (root or cache_root()) / "maps"
    entry = folder / key.hexdigest()
    maps = _open(entry, index, views)
    if maps is not None:
        return maps
    shape = (len(index.digests), views.count, *_probe(body, data.image_size))
    megabytes = 2 * np.prod(shape) / 1e6
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{entry.name}.lock"):
            maps = _open(entry, index, views)  # another process may have built it while this one waited
            if maps is None:
                remove_unfinished(folder, entry.name)
                each = "" if views.count == 2 else f", {views.count} views of each photo"
                what = f"maps of {body.about['name']} ({megabytes:,.0f} MB on disk{each})"
                _build(entry, body, dataset, index, shape, views, lambda done, total: on_progress(what, done, total))
                maps = _open(entry, index, views)
    except OSError as error:
        raise DataError(
            f"The body's maps can't be kept in {folder} ({error.strerror or error}; they need {megabytes:,.0f} MB): "
            "make room, or set the environment variable BEARCNN_CACHE to another folder."
        ) from error
    if maps is None:
        raise DataError(f"The body's maps in {entry} were deleted while they were in use: run the command again.")
    return maps


def network_inputs(network: BearCNN, dataset: Dataset, config: Config) -> NDArray[np.uint8] | Maps:
    """Return what a network takes for each row of the pixels: these, or an unchanged body's upright maps of them."""
    if network.body is None or network.body.fine_tuned:
        return dataset.pixels
    return open_maps(network.body, dataset, config.data, views=Views.of(config))[:, 0]


def _make_index(version: str, dataset: Dataset, data: DataConfig) -> Index:
    rows = len(dataset.pixels)
    photos, digests = [Photo("", -1, -1)] * rows, [""] * rows
    for example in dataset.examples:
        photos[example.row], digests[example.row] = Photo(str(example.path), -1, -1), dataset.picture_digest(example)
    folder = find_common_folder([Photo(str(example.path), -1, -1) for example in dataset.examples])
    return Index(version, data.image_size, data.resize, folder, tuple(photos), tuple(digests), (None,) * rows)


def _open(entry: Path, wanted: Index, views: Views) -> Maps | None:
    """Return the maps of an entry, if it is whole."""
    index = read_index(entry)
    if index is None or (index.version, index.digests) != (wanted.version, wanted.digests):
        return None
    maps = _read_maps(entry, index, views)
    if maps is not None and not rows_are_whole(index, maps):
        return None
    if maps is not None:
        with contextlib.suppress(OSError):  # a cache that can only be read is fine
            os.utime(entry / "index.json")
    return maps


def _read_maps(entry: Path, index: Index, views: Views) -> Maps | None:
    try:
        maps = np.load(entry / "maps.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = (
        len(index.sums) in (0, len(index.digests))
        and maps.ndim == 5
        and maps.shape[:2] == (len(index.digests), views.count)
        and maps.dtype == np.float16
    )
    return maps if whole else None


def _build(
    entry: Path,
    body: PretrainedBody,
    dataset: Dataset,
    index: Index,
    shape: Sequence[int],
    views: Views,
    on_progress: Callable[[int, int], None],
) -> None:
    known = _find_known(entry.parent, index, views)
    rows = np.flatnonzero(np.array([bool(digest) for digest in index.digests]))
    row_bytes = 2 * int(np.prod(shape[1:]))
    with new_entry(entry) as building:
        with (building / "maps.npy").open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            sums = [row_sum(np.zeros(shape[1:], np.float16))] * len(index.digests)
            on_progress(0, len(rows))
            with contextlib.closing(_produce(body, dataset, index, rows, views, known)) as produced:
                # Written and not stored through a memory map: on a full disk that would kill the process.
                for done, (row, maps) in enumerate(produced, 1):
                    file.seek(start + row * row_bytes)
                    file.write(maps.tobytes())
                    sums[row] = row_sum(maps)
                    on_progress(done, len(rows))
            file.truncate(start + len(index.digests) * row_bytes)
            file.flush()
            os.fsync(file.fileno())
        write_index(building, replace(index, sums=tuple(sums)))


def _produce(
    body: PretrainedBody,
    dataset: Dataset,
    index: Index,
    rows: NDArray[np.int64],
    views: Views,
    known: dict[str, Maps],
) -> Generator[tuple[int, Maps], None, None]:
    """Yield the row and the maps of each photo: copied, or else computed in threads a little ahead."""
    for row in rows:
        if (maps := known.get(index.digests[row])) is not None:
            yield int(row), maps
    missing = [int(row) for row in rows if index.digests[row] not in known]
    device = next(body.parameters()).device
    fast = fast_copy(body)

    def compute(batch: list[int]) -> Maps:
        photos, digests = np.asarray(dataset.pixels[batch]), [index.digests[row] for row in batch]
        with torch.inference_mode():
            maps = [
                fast(torch.from_numpy(np.ascontiguousarray(view)).permute(0, 3, 1, 2).to(device))
                for view in views.pictures(photos, digests)
            ]
        stacked = torch.stack(maps, 1).permute(0, 1, 3, 4, 2).clamp(-65504, 65504)  # what float16 holds
        return np.asarray(stacked.half().cpu().contiguous().numpy())

    batches = [missing[start : start + SMALL_BATCH] for start in range(0, len(missing), SMALL_BATCH)]
    with contextlib.closing(map_batches(compute, batches)) as computed:
        for batch, maps in zip(batches, computed, strict=True):
            yield from zip(batch, maps, strict=True)


def _find_known(folder: Path, wanted: Index, views: Views) -> dict[str, Maps]:
    """Return the maps of photos, by digest, in the entry that shares most photos with these."""
    digests = set(wanted.digests) - {""}
    best: dict[str, Maps] = {}
    for entry in sorted(list_folders(folder, ENTRY_NAME)):
        index = read_index(entry)
        if index is None or (index.version, index.size, index.resize) != (wanted.version, wanted.size, wanted.resize):
            continue
        shared = {digest: row for row, digest in enumerate(index.digests) if digest in digests}
        if len(shared) > len(best) and (maps := _read_maps(entry, index, views)) is not None:
            best = {
                digest: maps[row]
                for digest, row in shared.items()
                if not index.sums or row_sum(maps[row]) == index.sums[row]
            }
    return best


def _probe(body: PretrainedBody, image_size: int) -> tuple[int, int, int]:
    """Return side, side and channels of the body's map of a picture."""
    device = next(body.parameters()).device
    with torch.inference_mode():
        maps = body(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8, device=device))
    return maps.shape[2], maps.shape[3], maps.shape[1]
