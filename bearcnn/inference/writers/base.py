"""The parts that every writer of predictions gets."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bearcnn._version import __version__
from bearcnn.inference.labels import Labelling
from bearcnn.inference.paths import model_fingerprint
from bearcnn.inference.prediction import Prediction
from bearcnn.manifest import Manifest

if TYPE_CHECKING:  # few predictions go into a package
    from bearcnn.inference.camtrap.plan import PackagePlan

COLUMNS = ("path", "label", "probability", "error")
"""The columns of every prediction."""

BURST_COLUMNS = ("burst", "own_probability")
"""Those beside them where bursts share their answer."""

BOX_COLUMNS = ("bbox",)
"""That beside them where a photo is seen as several pictures, or as crops."""


@dataclass(frozen=True)
class PredictionContext:
    """The facts that the predictions of one call have in common."""

    model: Path
    manifest: Manifest
    labelling: Labelling
    columns: tuple[str, ...] = COLUMNS
    """The fields of a prediction to write; an option that computes more adds its own."""
    folder: Path | None = None
    """The folder that all photos lie in; None if it is found from the photos."""
    continued: bool = False
    """Whether the text comes behind that of earlier predictions, and has no header."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All that the network's answers depend on besides the model and the photo, as JSON."""
    package: "PackagePlan | None" = None
    """The package that the predictions go into."""

    @cached_property
    def fingerprint(self) -> str:
        """The start of the model file's SHA-256."""
        return model_fingerprint(self.model)

    @property
    def answered_by(self) -> str:
        """The software and the model in one line."""
        return f"bearcnn {__version__}, {self.manifest.name}, {self.fingerprint}"


TextWriter = Callable[[Iterable[Prediction], PredictionContext], Iterator[str]]
"""Yields the text of predictions piece by piece, each as soon as its predictions are there."""

FolderWriter = Callable[[Iterable[Prediction], PredictionContext], Mapping[str, bytes]]
"""Returns the files of a new folder, by their names."""
