"""The options of `bearcnn predict` for the engine that computes: on this computer, or on a cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError
from bearcnn.inference.engines import AUTO, ENGINES
from bearcnn.inference.places import CLUSTERS
from bearcnn.registry import load

if TYPE_CHECKING:
    from bearcnn.data.regions import Regions
    from bearcnn.inference.prediction import Prediction
    from bearcnn.inference.predictor import OnWindows, Predictor

PANEL = "Where the photos are predicted"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The engine that computes, and its place."""

    engine: Annotated[
        str,
        choice(
            "engine",
            [AUTO, *ENGINES.names(), *CLUSTERS.names()],
            help=f"{AUTO}: the first of {' and '.join(ENGINES.names())} that works on this computer. ray: on the nodes "
            "of a Ray cluster. They get the model from here, but read the photos themselves: share the folder at the "
            "same path. The same rows in the same order.",
            panel=PANEL,
        ),
    ] = AUTO
    address: Annotated[
        str,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Ray cluster that this computer is a node of.",
            show_default="one that is started here",
            rich_help_panel=PANEL,
        ),
    ] = ""

    @property
    def on_cluster(self) -> bool:
        """Whether the photos are predicted on a cluster."""
        return self.engine in CLUSTERS

    @property
    def local(self) -> str:
        """The engine of this computer."""
        return AUTO if self.on_cluster else self.engine

    def check(self, heatmaps: Path | None, regions: bool, watching: bool) -> None:
        """Refuse options that don't go together; `regions`: whether photos are to be seen as crops or tiles."""
        if not self.on_cluster and self.address:
            raise BearcnnError("--address names a cluster: add --engine ray")
        if self.on_cluster and heatmaps is not None:
            raise BearcnnError(f"--heatmaps are drawn on this computer alone: omit --engine {self.engine}")
        if self.on_cluster and regions:
            raise BearcnnError(f"--detections and --tiles are for this computer alone: omit --engine {self.engine}")
        if self.on_cluster and watching:
            raise BearcnnError(f"--watch answers photos on this computer: omit --engine {self.engine}")

    def predict(
        self,
        predictor: "Predictor",
        photos: Iterable[Path],
        regions: "Regions | None" = None,
        on_windows: "OnWindows | None" = None,
    ) -> "Iterator[Prediction]":
        """Return one prediction for each photo, in order; on a cluster, once the first is there.

        What is wrong with a cluster shows by then, and nothing has been printed yet.
        """
        if not self.on_cluster:
            from bearcnn.inference.predictor import predict_photos

            return predict_photos(predictor, photos, regions=regions, on_windows=on_windows)
        predictions: Iterator[Prediction] = load(CLUSTERS[self.engine].predict)(
            predictor, photos, address=self.address, on_remark=lambda text: console.note(console.plain(text))
        )
        first = list(islice(predictions, 1))
        return chain(first, predictions)
