"""The options of commands that see photos as several pictures, and what they say about it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.data.dataset import Dataset
    from bearcnn.data.regions import Crops, Regions
    from bearcnn.manifest import Manifest

PANEL = "Small bears (a photo's answer is that of its best picture)"
UNDETECTED = ("whole", "negative")

DetectionsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PANEL,
        help="MegaDetector's batch results: each photo is seen as the crops around its animals.",
    ),
]


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """The options of `predict` that say which pictures a photo is."""

    detections: DetectionsFile = None
    detection_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=PANEL,
            help="Lowest confidence of a detection.",
            show_default="as in training, else the file's typical one, else 0.2",
        ),
    ] = None
    undetected: Annotated[
        str,
        choice(
            "value of --undetected",
            UNDETECTED,
            panel=PANEL,
            help="Photos without a detected animal: whole looks at the whole frame, as the detector may have missed "
            "a bear; negative says probability 0.",
        ),
    ] = UNDETECTED[0]
    tiles: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=PANEL,
            help="Overlapping tiles along the shorter side, beside the whole frame: finds smaller bears, raises more "
            "false alarms.",
            show_default="as in training (data.tiles)",
        ),
    ] = None

    def open(self, manifest: "Manifest", arguments: Sequence[str]) -> "Regions | None":
        """Return the pictures that are asked for; None for those that the model is made for.

        Raises:
            BearcnnError: options that don't go together, or a file of detections that can't be used.
        """
        if self.detections is not None:
            return self._open_crops(trained_regions(manifest), arguments)
        if self.detection_threshold is not None or self.undetected != UNDETECTED[0]:
            raise BearcnnError("`detection_threshold` and `undetected` are about `detections`: add it")
        warn_without_detections(manifest)
        # Most predictions have no such option: they start without the configuration's models.
        return None if self.tiles is None else self._open_tiles(self.tiles, trained_regions(manifest))

    @property
    def given(self) -> bool:
        """Whether the user asks for crops or tiles."""
        return self.detections is not None or self.tiles is not None

    def settings(self) -> dict[str, Any]:
        """Return what the answers depend on, for the journal of a prediction; without the options, nothing."""
        if self.detections is None:
            return {} if self.tiles is None else {"tiles": self.tiles}
        digest = hashlib.blake2b(self.detections.read_bytes(), digest_size=8).hexdigest()
        threshold = {} if self.detection_threshold is None else {"detection_threshold": self.detection_threshold}
        return {"detections": digest, "undetected": self.undetected, **threshold}

    def _open_tiles(self, tiles: int, trained: dict[str, Any]) -> "Regions":
        from bearcnn.data.regions import WHOLE_FRAMES, Tiles
        from bearcnn.geometry import MOST_TILES

        if not 0 <= tiles <= MOST_TILES:
            raise BearcnnError(f"`tiles` {tiles}: expected 0 (none) to {MOST_TILES}")
        if tiles != trained["tiles"]:
            more = "false alarms" if tiles > trained["tiles"] else "missed bears"
            console.note(
                f"[yellow]the model's threshold was chosen with data.tiles = {trained['tiles']}:[/] with {tiles} "
                f"expect more {more} than were measured; train with --set data.tiles={tiles}"
            )
        return Tiles(tiles) if tiles else WHOLE_FRAMES

    def _open_crops(self, trained: dict[str, Any], arguments: Sequence[str]) -> "Crops":
        from bearcnn.data.megadetector import read_detections
        from bearcnn.data.regions import Crops

        if self.tiles:
            raise BearcnnError("`tiles` cut whole frames, and `detections` are crops: give one of them")
        if not trained["detections"]:
            console.note(
                "[yellow]the model was trained on whole frames:[/] on crops its threshold and scores are untested; "
                "train with --detections as well"
            )
        threshold = trained["detection_threshold"] if self.detection_threshold is None else self.detection_threshold
        if threshold != "auto" and not 0 <= threshold <= 1:
            raise BearcnnError(f"`detection_threshold` {threshold:g}: expected a number between 0 and 1")
        assert self.detections is not None
        folders = [Path(argument) for argument in arguments[:100] if argument not in ("", "-")]
        boxes = read_detections(self.detections).boxes(folders, threshold)
        return Crops(boxes, trained["crop_padding"], "negative" if self.undetected == "negative" else "whole")


def trained_regions(manifest: "Manifest") -> dict[str, Any]:
    """Return the config keys of the pictures that a model was made for; raises ConfigError if they can't be."""
    from bearcnn.config import make_data_config

    names = {"detections", "detection_threshold", "crop_padding", "tiles"}
    stored = manifest.config.get("data", {})
    made = make_data_config({name: stored[name] for name in names & stored.keys()})
    return {name: getattr(made, name) for name in names}


def warn_without_detections(manifest: "Manifest") -> None:
    """Say once that a model which was trained on crops is given whole frames."""
    if manifest.config.get("data", {}).get("detections"):
        console.note(
            "[yellow]the model was trained on crops of animals, and sees whole frames here:[/] it can miss bears; "
            "run MegaDetector on the photos, and add --detections FILE"
        )


@dataclass(slots=True)
class CropCounter:
    """The photos of a prediction that are seen as crops, as whole frames, or not at all, and why."""

    crops: "Crops"
    cropped: int = 0
    undetected: int = 0
    failed: int = 0
    unknown: int = 0

    def count(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield the paths, and count them."""
        from bearcnn.data.regions import absolute

        for path in paths:
            found = self.crops.boxes.get(absolute(path), False)
            if found is False:
                self.unknown += 1
            elif found is None:
                self.failed += 1
            elif found:
                self.cropped += 1
            else:
                self.undetected += 1
            yield path

    def show(self, file: Path | str) -> None:
        """Say how many photos were seen as what."""
        whole = "as whole frames" if self.crops.undetected == "whole" else "answered with probability 0"
        console.note(
            f"[dim]{self.cropped:,} photos seen as crops of animals, "
            f"{self.undetected:,} without a detected animal {whole}[/]"
        )
        missed = [
            f"{number:,} {what}"
            for number, what in ((self.failed, "on which the detector failed"), (self.unknown, "not in"))
            if number
        ]
        if missed:
            console.note(f"[yellow]{' and '.join(missed)} {console.plain(str(file))}: seen as whole frames[/]")


def show_regions(dataset: "Dataset", file: str) -> None:
    """Say what a data set's labelled photos are seen as, where that isn't the whole frame."""
    from bearcnn.data.regions import Crops, Tiles

    if isinstance(dataset.regions, Tiles):
        console.note(
            f"[dim]a photo is scored by the best of its whole frame and tiles (data.tiles = {dataset.regions.count})[/]"
        )
    if isinstance(dataset.regions, Crops):
        counter = CropCounter(dataset.regions)
        for _ in counter.count(example.path for example in dataset.examples):
            pass
        counter.show(file)
