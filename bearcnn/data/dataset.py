"""A data set: labelled, split examples and their decoded pixels.

A data set depends on the source's rows and the photos' bytes alone. The same photos give the same data set, wherever
they are and in whatever order a disk lists them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bearcnn.config import ColumnRole, Config, DataConfig, make_data_config
from bearcnn.data import OnProgress
from bearcnn.data.group_names import AUTO
from bearcnn.data.groups import cut_by_group, describe_grouping
from bearcnn.data.loading import LoadedPhotos, load_listing, load_record
from bearcnn.data.record import DatasetRecord
from bearcnn.data.regions import Crops
from bearcnn.data.sources import SOURCES, find_source, list_source
from bearcnn.data.sources.base import Listing
from bearcnn.data.sources.folders import list_folders
from bearcnn.data.splits import SPLITS, Example, Split, draw_training
from bearcnn.geometry import MAX_MEGAPIXELS, ResizeMode

Subclasses = tuple[tuple[int, str], ...]
"""Class and name of each subclass that training tells apart."""


@dataclass(frozen=True, slots=True)
class Dataset(LoadedPhotos):
    """Labelled, split examples, and the pixels of their photos."""

    @classmethod
    def from_folder(
        cls,
        root: Path | str,
        *,
        image_size: int,
        resize: ResizeMode = "squish",
        positive: Sequence[str] = ("bear",),
        valid_share: float = 0.2,
        test_share: float = 0.2,
        split_seed: int = 0,
        group: int | str = AUTO,
        max_megapixels: int = MAX_MEGAPIXELS,
        cache_root: Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Load a folder of class folders: label its photos by the folders' names, split them and decode them.

        Splits that the folder has (train, valid, test) are kept. Missing ones are made from train: valid and test if
        there is only train, valid if there are train and test, but no test if there are train and valid. A share of 0
        makes no split. Photos of one group (`groups`) are never in two of the splits that are made; `group` is the
        configuration's `data.group`. `on_progress` counts decoded photos.

        Raises:
            DataError: the folder can't be used.
        """
        return load_listing(
            cls,
            list_folders(Path(root), positive),
            positive,
            image_size=image_size,
            resize=resize,
            shares={"test": test_share, "valid": valid_share},
            split_seed=split_seed,
            group=group,
            max_megapixels=max_megapixels,
            cache_root=cache_root,
            on_progress=on_progress,
        )

    @classmethod
    def from_csv(
        cls,
        path: Path | str,
        *,
        columns: Mapping[str, str | Sequence[str]] | None = None,
        on_progress: OnProgress | None = None,
        **settings: Any,
    ) -> Self:
        """Load a CSV file with a row for each photo: its path, from the file's folder, and its label.

        Args:
            path: the file.
            columns: the names of its columns (`data.columns`), where they aren't filepath, label, subclass, split,
                site, sequence and datetime.
            on_progress: counts decoded photos.
            settings: other keys of the configuration's section data, such as `image_size` and `positive`.

        Raises:
            DataError: the file can't be used; wrong rows are all named.
            ConfigError: a setting that can't work.
        """
        return cls._from_file("csv", path, on_progress, columns=dict(columns or {}), **settings)

    @classmethod
    def from_coco(cls, path: Path | str, *, on_progress: OnProgress | None = None, **settings: Any) -> Self:
        """Load the images of a COCO Camera Traps file; the arguments are those of `from_csv`.

        Raises:
            DataError: the file can't be used.
            ConfigError: a setting that can't work.
        """
        return cls._from_file("coco", path, on_progress, **settings)

    @classmethod
    def from_camtrap_dp(cls, path: Path | str, *, on_progress: OnProgress | None = None, **settings: Any) -> Self:
        """Load the photos of a Camtrap DP package, its folder or datapackage.json; the arguments are as in `from_csv`.

        Raises:
            DataError: the package can't be used.
            ConfigError: a setting that can't work.
        """
        return cls._from_file("camtrap_dp", path, on_progress, **settings)

    @classmethod
    def from_config(
        cls, config: DataConfig, *, on_listing: OnProgress | None = None, on_progress: OnProgress | None = None
    ) -> Self:
        """Load the data set of a configuration, from the source that recognizes its path.

        `on_listing` counts the pictures that the source makes first, such as the built-in scenes; `on_progress`
        counts decoded photos.

        Raises:
            DataError: the path can't be used.
        """
        listing = list_source(config.path, config.positive, on_listing, columns=config.columns)
        return cls.from_listing(listing, config, on_progress)

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        config: DataConfig,
        *,
        on_listing: OnProgress | None = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Load the photos of a run's dataset.json, in their splits, with the size and resize mode of the run's config.

        Raises:
            DataError: a photo is missing or has changed, or the record is damaged.
        """
        # The built-in scenes are in this computer's cache, wherever they were during training.
        root = None if config.path else list_source(config.path, config.positive, on_listing).root
        return load_record(
            cls,
            record,
            image_size=config.image_size,
            resize=config.resize,
            max_megapixels=config.max_megapixels,
            root=root,
            regions=config,
            on_progress=on_progress,
        )

    @classmethod
    def for_evaluation(
        cls,
        path: Path | str,
        config: DataConfig,
        on_progress: OnProgress | None = None,
        *,
        columns: Mapping[ColumnRole, Sequence[str]] | None = None,
    ) -> Self:
        """Load photos that the model wasn't trained on, in the source's own splits or else all as test.

        A CSV file's columns are those of the configuration unless `columns` names them.
        `config.detections` must be of these photos, or empty.

        Raises:
            DataError: the path can't be used.
        """
        if columns is None:
            columns = config.columns if find_source(str(path)).takes_columns else {}
        unsplit = config.model_copy(
            update={"path": str(path), "columns": columns, "valid_share": 0.0, "test_share": 0.0}
        )
        dataset = cls.from_config(unsplit, on_progress=on_progress)
        if {example.split for example in dataset.examples} != {"train"}:
            return dataset
        return replace(dataset, examples=tuple(replace(example, split="test") for example in dataset.examples))

    def limit(self, photos: int, seed: int) -> Self:
        """Return this data set with at most so many training photos (0: all), those that the seed draws.

        The fingerprint stays: it is that of the photos before the draw. A data set that is limited already stays as it
        is.
        """
        return replace(self, examples=draw_training(self.examples, photos, seed)) if photos else self

    def for_training(self, config: Config) -> Self:
        """Return this data set as a configuration trains on it.

        With `train.folds`, validation photos are training photos: cross-validation judges each of them. Of the training
        photos, those above `data.photos` are unused. Where all that is done already, nothing changes.

        Raises:
            DataError: a class has fewer distinct training photos than `train.folds`.
        """
        dataset = self
        if config.train.folds:
            pooled = (replace(each, split="train") if each.split == "valid" else each for each in self.examples)
            dataset = replace(self, examples=tuple(pooled), grouping=self.grouping and self.grouping.without("valid"))
        dataset = dataset.limit(config.data.photos, config.train.seed)
        if config.train.folds:
            dataset.cut_folds(config.train.folds, config.data.split_seed)  # what can't be cut is an error before all
        return dataset

    def cut_folds(self, folds: int, seed: int) -> tuple[Self, ...]:
        """Return this data set once for each fold of its training photos, with that fold as its validation photos.

        Raises:
            DataError: a class has fewer distinct training photos, or groups of them, than there are folds.
        """
        fold = cut_by_group(self.select("train"), self.grouping, folds, seed, self.classes)
        return tuple(
            replace(
                self,
                examples=tuple(
                    replace(each, split="valid") if fold.get(each.row) == number else each for each in self.examples
                ),
            )
            for number in range(folds)
        )

    def select(self, split: Split) -> tuple[Example, ...]:
        """Return the examples of one split, in the order of their paths."""
        return tuple(example for example in self.examples if example.split == split)

    def counts(self) -> dict[Split, dict[str, dict[str, int]]]:
        """Count the photos: split -> class -> subclass -> number, for the splits that exist."""
        counts: dict[Split, dict[str, dict[str, int]]] = {}
        for split in SPLITS:
            found = sorted(Counter((example.label, example.subclass) for example in self.select(split)).items())
            if found:
                counts[split] = {
                    name: {subclass: number for (of, subclass), number in found if of == label}
                    for label, name in enumerate(self.classes)
                }
        return counts

    def count_groups(self) -> dict[str, int]:
        """Count the groups of photos: in each split that exists, and those of more than one picture; and the sites."""
        used = [each for each in self.examples if each.split in SPLITS]
        counts: dict[str, int] = {split: len({each.unit for each in self.select(split)}) for split in SPLITS}
        together = Counter(each.group for each in used if each.group)
        return {
            **{split: number for split, number in counts.items() if number},
            "total": len({each.unit for each in used}),
            "of_several": len(together),
            "photos_of_several": together.total(),
            "sites": len({each.site for each in used if each.site}),
        }

    def describe_groups(self) -> str | None:
        """Say in one line what the photos are grouped by, and how many groups there are; None if there are none."""
        return describe_grouping(self.grouping.by, self.count_groups()) if self.grouping else None

    def arrays(self, split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the pixels and the labels of one split, each (photos,)."""
        chosen = self.select(split)
        return np.array([example.row for example in chosen], np.int64), np.array([e.label for e in chosen], np.int64)

    def subclasses(self, at_least: int = 5) -> tuple[Subclasses, NDArray[np.int64]]:
        """Return the subclasses that training tells apart, and the subclass of each training photo, (photos,).

        Subclasses with fewer than `at_least` training photos are too rare to be learnt: within a class they are merged
        into one, named "".
        """
        chosen = self.select("train")
        counts = Counter((example.label, example.subclass) for example in chosen)
        names = [(each.label, each.subclass) for each in chosen]
        names = [name if counts[name] >= at_least else (name[0], "") for name in names]
        found = tuple(sorted(set(names)))
        return found, np.array([found.index(name) for name in names], np.int64)

    def evaluation_split(self) -> Split:
        """Return the split for scores: test, else valid, else train."""
        return next(split for split in reversed(SPLITS) if self.select(split))

    def picture_digest(self, example: Example) -> str:
        """Return a text that is equal for equal pixels: the photo's digest, and another one for each crop of it."""
        crop = self.regions.surest(example.path) if isinstance(self.regions, Crops) else None
        if crop is None:
            return example.digest
        return hashlib.blake2b(f"{example.digest} {json.dumps(crop)}".encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the content of dataset.json, from which `from_record` loads the same photos again."""
        boxes = self.regions.boxes if isinstance(self.regions, Crops) else {}
        return DatasetRecord(
            self.root, self.positive, self.classes, self.fingerprint, self.grouping, self.examples, self.skipped, boxes
        ).to_json()

    @classmethod
    def _from_file(cls, source: str, path: Path | str, on_progress: OnProgress | None, **settings: Any) -> Self:
        """Load a file as one source's, whatever its name, with the keys of the section data as `settings`."""
        config = make_data_config({**settings, "path": str(path)})
        listing = list_source(config.path, config.positive, columns=config.columns, source=SOURCES[source])
        return cls.from_listing(listing, config, on_progress)

    @classmethod
    def from_listing(cls, listing: Listing, config: DataConfig, on_progress: OnProgress | None = None) -> Self:
        """Load the photos that a source has listed for a configuration; as `from_config`.

        Raises:
            DataError: the photos can't be used.
        """
        return load_listing(
            cls,
            listing,
            config.positive,
            image_size=config.image_size,
            resize=config.resize,
            shares={"test": config.test_share, "valid": config.valid_share},
            split_seed=config.split_seed,
            group=config.group,
            max_megapixels=config.max_megapixels,
            regions=config,
            on_progress=on_progress,
        )
