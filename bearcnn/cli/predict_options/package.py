"""Options for facts that a Camtrap DP package needs and photos don't hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bearcnn.inference.camtrap.existing import ExtendedPackage
    from bearcnn.inference.camtrap.new import NewPackage

BEARS = "Ursidae"
"""The scientific name of a bear of any species."""

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
            help="Zone of the cameras' clocks: Europe/Ljubljana, +01:00.",
            show_default="this computer's, as a guess",
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
            help="Folder in which the paths of an existing package begin.",
            show_default="the package",
            rich_help_panel=PANEL,
        ),
    ] = None

    def open_existing(self, paths: list[str]) -> "ExtendedPackage | None":
        """Open the package that the paths of a command name; None if they name photos."""
        from bearcnn.inference.camtrap.existing import is_package, open_package

        if len(paths) != 1 or not is_package(Path(paths[0])):
            return None
        return open_package(Path(paths[0]), self.scientific_name, self.media_folder)

    def plan_new(self, photos: list[Path], folder: Path | None) -> "NewPackage":
        """Plan a package of photos that lie in a folder."""
        from bearcnn.inference.camtrap.new import parse_coordinates, plan_package, read_deployments
        from bearcnn.inference.camtrap.times import parse_zone

        return plan_package(
            photos,
            scientific_name=self.scientific_name,
            clock=parse_zone(self.timezone),
            folder=folder,
            coordinates=None if self.coordinates is None else parse_coordinates(self.coordinates),
            deployments=None if self.deployments is None else read_deployments(self.deployments),
        )
