"""Options for facts that a Camtrap DP package needs and photos don't hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.inference.camtrap.plan import BEARS

PANEL = "Facts for --format camtrap-dp"


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """Facts that a package needs and photos don't hold."""

    coordinates: Annotated[
        str | None,
        typer.Option(metavar="LAT,LON", help="Place of the cameras in degrees.", rich_help_panel=PANEL),
    ] = None
    deployments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with deploymentID (the camera's folder), latitude, longitude, and more columns of deployments.",
            rich_help_panel=PANEL,
        ),
    ] = None
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Zone of the cameras' clocks: Europe/Ljubljana, +01:00. Default: this computer's, as a guess.",
            rich_help_panel=PANEL,
        ),
    ] = None
    scientific_name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the animals found.", rich_help_panel=PANEL)
    ] = BEARS
    media_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder in which the paths of an existing package begin. Default: the package.",
            rich_help_panel=PANEL,
        ),
    ] = None
