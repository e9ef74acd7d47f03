"""The options of `bearcnn predict` for a cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError
from bearcnn.inference.places import PLACES
from bearcnn.registry import load

if TYPE_CHECKING:
    from bearcnn.data.regions import Regions
    from bearcnn.inference.prediction import Prediction
    from bearcnn.inference.predictor import OnWindows, Predictor

CLUSTER = "Where the photos are predicted"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where the photos are predicted."""

    engine: Annotated[
        str,
        choice(
            "engine",
            [place.name for place in PLACES],
            help="ray: on the nodes of a Ray cluster. They get the model from here, but read the photos themselves: "
            "share the folder at the same path. The same rows in the same order.",
            panel=CLUSTER,
        ),
    ] = "local"
    address: Annotated[
        str,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Ray cluster that this computer is a node of. Default: one started here.",
            rich_help_panel=CLUSTER,
        ),
    ] = ""

    def check(self, heatmaps: Path | None, regions: bool) -> None:
        """Refuse options that don't go together; `regions`: whether photos are to be seen as crops or tiles."""
        if self.engine == "local" and self.address:
            raise BearcnnError("--address names a cluster: add --engine ray")
        if self.engine != "local" and heatmaps is not None:
            raise BearcnnError(f"--heatmaps are drawn on this computer alone: omit --engine {self.engine}")
        if self.engine != "local" and regions:
            raise BearcnnError(f"--detections and --tiles are for this computer alone: omit --engine {self.engine}")

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
        place = PLACES[self.engine]
        if not place.predict:
            from bearcnn.inference.predictor import predict_photos

            return predict_photos(predictor, photos, regions=regions, on_windows=on_windows)
        predictions: Iterator[Prediction] = load(place.predict)(
            predictor, photos, address=self.address, on_remark=lambda text: console.note(console.plain(text))
        )
        first = list(islice(predictions, 1))
        return chain(first, predictions)
