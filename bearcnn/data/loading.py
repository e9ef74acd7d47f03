"""Loading of a data set: the rows of a source, or those of a run's record, are checked, split and decoded."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import DataConfig
from bearcnn.data import OnProgress
from bearcnn.data.cache import build_cache
from bearcnn.data.group_names import AUTO, NONE, name_group
from bearcnn.data.groups import Grouping, split_by_group
from bearcnn.data.megadetector import read_detections
from bearcnn.data.names import readable
from bearcnn.data.record import DatasetRecord
from bearcnn.data.regions import WHOLE_FRAMES, Box, Crop, Crops, Regions, Tiles, absolute
from bearcnn.data.related import find_related
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.folders import drop_group_folders
from bearcnn.data.splits import SPLITS, Example, Split, check_splits, find_contradictions, find_copies
from bearcnn.errors import DataError
from bearcnn.geometry import MAX_MEGAPIXELS, ResizeMode


@dataclass(frozen=True, slots=True)
class LoadedPhotos:
    """The content of a data set."""

    root: Path
    positive: tuple[str, ...]  # names that the source gives to the positive class
    classes: tuple[str, str]  # negative, positive
    examples: tuple[Example, ...]
    skipped: tuple[SkippedPhoto, ...]
    fingerprint: str  # of every example's relative path, digest, label and split, and of the boxes of crops
    grouping: Grouping | None = field(default=None, kw_only=True)  # None for drawn scenes and records without it
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)  # (rows, size, size, 3)
    regions: Regions = field(default=WHOLE_FRAMES, repr=False)
    """The pictures that a photo is scored by. In training it is one: its surest animal's crop, or its whole frame."""

    def boxes(self, path: Path) -> tuple[Box, ...]:
        """Return the boxes of the animals that a detector found in a photo, the surest first."""
        return (self.regions.boxes.get(absolute(path)) or ()) if isinstance(self.regions, Crops) else ()


Loaded = TypeVar("Loaded", bound=LoadedPhotos)


def load_listing(
    cls: type[Loaded],
    listing: Listing,
    positive: Sequence[str],
    *,
    image_size: int,
    resize: ResizeMode,
    shares: Mapping[Split, float],
    split_seed: int,
    group: int | str = AUTO,
    max_megapixels: int = MAX_MEGAPIXELS,
    regions: DataConfig | None = None,
    cache_root: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Loaded:
    """Check, split and decode the rows of any source.

    Args:
        cls: the data set's class.
        listing: the rows.
        positive: the names that the source gives to the positive class.
        image_size: px of each side that photos are decoded to.
        resize: how they become square.
        shares: of the photos of each split that is made where the source has none.
        split_seed: of these splits.
        group: the configuration's `data.group`.
        max_megapixels: the largest photo.
        regions: has the keys of what a photo is seen as.
        cache_root: the folder of the cache; the user's unless given.
        on_progress: counts decoded photos.

    Raises:
        DataError: the photos can't be used.
    """
    listing = drop_group_folders(listing, group, positive)
    root, given, where = listing.root, listing.splits, listing.file or listing.root
    classes = (f"not_{positive[0]}", positive[0])
    unread = tuple(photo for photo in listing.skipped if photo.unread)
    photos: list[LabelledPhoto | SkippedPhoto] = [
        *listing.labelled,
        *(photo for photo in listing.skipped if not photo.unread),
    ]
    photos.sort(key=lambda photo: photo.path.parts)
    paths = [photo.path for photo in photos]
    reasons = {row: photo.reason for row, photo in enumerate(photos) if isinstance(photo, SkippedPhoto)}
    examples = [
        Example(
            photo.path,
            photo.label,
            photo.subclass,
            photo.split or "train",
            row,
            digest="",
            site=photo.site or name_group(photo.path.relative_to(root), group),
            sequence=photo.sequence,
            taken=photo.taken,
        )
        for row, photo in enumerate(photos)
        if isinstance(photo, LabelledPhoto)
    ]
    if given and "train" not in given and shares["valid"] > 0:
        others = (
            f"give some rows the split train in {where}" if listing.file else f"put the others into {root / 'train'}"
        )
        missing = "no row of the split train" if listing.file else "no folder train"
        raise DataError(f"{where} has photos for {min(given)} but none to train on ({missing}): {others}")
    check_splits(where, examples, classes, given)
    if any(shares.values()):
        _check_group(root, group, paths)

    seen = _find_regions(root, regions)
    cache = build_cache(
        paths,
        image_size,
        resize,
        crops=_crops(seen, paths),
        max_megapixels=max_megapixels,
        root=cache_root,
        on_progress=on_progress,
    )
    reasons |= {row: reason for row, reason in enumerate(cache.reasons) if reason is not None}
    examples = [
        replace(example, digest=cache.digests[example.row]) for example in examples if example.row not in reasons
    ]
    reasons |= find_contradictions(root, examples)
    reasons |= find_copies(root, [example for example in examples if example.row not in reasons])
    examples = [example for example in examples if example.row not in reasons]

    wanted = {
        split: share for split, share in shares.items() if "valid" not in given and split not in given and share > 0
    }
    related = None if listing.independent or group == NONE else find_related(cache, paths)
    if related is not None:
        examples = [replace(each, taken=each.taken or related.taken[each.row]) for each in examples]
    examples, grouping = split_by_group(root, examples, related, group, wanted, split_seed, classes)
    check_splits(where, examples, classes, {*(given or {"train"}), *wanted})
    skipped = [*(SkippedPhoto(paths[row], reason) for row, reason in reasons.items()), *unread]
    skipped.sort(key=lambda photo: photo.path.parts)
    dataset = cls(
        root,
        tuple(positive),
        classes,
        tuple(examples),
        tuple(skipped),
        "",
        cache.pixels,
        seen,
        grouping=None if listing.independent else grouping,
    )
    return replace(dataset, fingerprint=_take_fingerprint(dataset))


def load_record(
    cls: type[Loaded],
    record: Mapping[str, Any],
    *,
    image_size: int,
    resize: ResizeMode,
    max_megapixels: int = MAX_MEGAPIXELS,
    root: Path | None = None,
    splits: Collection[Split] = SPLITS,
    regions: DataConfig | None = None,
    cache_root: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Loaded:
    """Load the examples of these splits from a record; `root` is the photos' folder if they have moved.

    Raises:
        DataError: a photo is missing or has changed, or the record is damaged.
    """
    kept = DatasetRecord.from_json(record, root)
    absent = [photo.path for photo in kept.examples if photo.split in splits and not photo.path.exists()]
    if absent:  # before decoding: a cache without them would be useless
        raise _changed(kept.root, absent, "is missing")
    # All photos in the order of training, not only those asked for: then the cache of training fits.
    paths = [example.path for example in kept.examples] + [photo.path for photo in kept.skipped if not photo.unread]
    paths.sort(key=lambda path: path.parts)
    # Not the detector's file, which may have changed or moved since.
    seen = _find_regions(kept.root, regions, kept.boxes)
    cache = build_cache(
        paths,
        image_size,
        resize,
        crops=_crops(seen, paths),
        max_megapixels=max_megapixels,
        root=cache_root,
        on_progress=on_progress,
    )
    rows = {path: row for row, path in enumerate(paths)}
    examples = tuple(replace(each, row=rows[each.path]) for each in kept.examples if each.split in splits)
    changed = [example.path for example in examples if cache.digests[example.row] != example.digest]
    if changed:
        raise _changed(kept.root, changed, "has changed since training")
    return cls(
        kept.root,
        kept.positive,
        kept.classes,
        examples,
        kept.skipped,
        kept.fingerprint,
        cache.pixels,
        seen,
        grouping=kept.grouping,
    )


def _find_regions(
    root: Path, config: DataConfig | None, boxes: Mapping[str, tuple[Box, ...] | None] | None = None
) -> Regions:
    """Return how the photos below a folder are seen; `boxes` of their animals are read from `detections` if None."""
    if config is None:
        return WHOLE_FRAMES
    if config.detections:
        if boxes is None:
            boxes = read_detections(Path(config.detections)).boxes([root], config.detection_threshold)
        return Crops(boxes, config.crop_padding)
    return Tiles(config.tiles) if config.tiles else WHOLE_FRAMES


def _crops(regions: Regions, paths: Sequence[Path]) -> list[Crop | None] | None:
    return [regions.surest(path) for path in paths] if isinstance(regions, Crops) else None


def _changed(root: Path, paths: list[Path], what: str) -> DataError:
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    name = readable(paths[0].relative_to(root).as_posix())
    return DataError(
        f"a photo {what} in {root}: {name}{others}; put it back as it was, or train again "
        "(`bearcnn evaluate --data FOLDER` scores other photos)"
    )


def _check_group(root: Path, group: int | str, paths: Sequence[Path]) -> None:
    """Check that `data.group` gives a group to some photo; raises DataError."""
    if group in (AUTO, NONE) or any(name_group(path.relative_to(root), group) for path in paths):
        return
    example = readable(paths[0].relative_to(root).as_posix())
    what = f"no photo is in a folder at level {group}" if isinstance(group, int) else "the pattern matches no photo"
    raise DataError(f"data.group = {group}: {what} below {root}, such as {example}")


def _take_fingerprint(dataset: LoadedPhotos) -> str:
    rows = [
        (each.path.relative_to(dataset.root).as_posix(), each.digest, each.label, each.split, *dataset.boxes(each.path))
        for each in dataset.examples
    ]
    return hashlib.blake2b(json.dumps(sorted(rows)).encode(), digest_size=16).hexdigest()
