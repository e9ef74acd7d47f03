"""`bearcnn predict`: photos to answers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bearcnn.cli.engine import PANEL as WHERE
from bearcnn.cli.engine import EngineOptions
from bearcnn.cli.help import HelpedCommand
from bearcnn.cli.options import with_options
from bearcnn.cli.predict_options.decision import DecisionOptions
from bearcnn.cli.predict_options.output import OutputOptions
from bearcnn.cli.predict_options.package import PackageOptions
from bearcnn.cli.predict_options.sorting import SortingOptions
from bearcnn.cli.regions import RegionOptions
from bearcnn.cli.watch import WatchOptions


class PredictCommand(HelpedCommand):
    """A command whose `--unsure` may stand without a value, for the model's own thresholds."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give `--unsure` the value `stored` where no two numbers follow it."""
        from bearcnn.inference.labels import STORED

        end = args.index("--") if "--" in args else len(args)
        spelled = [
            f"--unsure={STORED}"
            if arg == "--unsure" and place < end and not _is_pair(args[place + 1 : place + 2])
            else arg
            for place, arg in enumerate(args)
        ]
        return super().parse_args(ctx, spelled)


def _is_pair(following: list[str]) -> bool:
    return bool(following) and "," in following[0] and not set(following[0]) - set("0123456789.,+-e")


@with_options
def predict(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATHS", help="Photos, folders, patterns; - for a list on stdin.")
    ] = None,
    *,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="A run folder or a .onnx file.", show_default="the newest run"),
    ] = None,
    output: OutputOptions,
    decision: DecisionOptions,
    sorting: SortingOptions,
    watching: WatchOptions,
    package: PackageOptions,
    regions: RegionOptions,
    engine: EngineOptions,
    max_megapixels: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            max=200,
            help="Largest photo, in million pixels in memory; another one gets a row with that reason.",
            show_default="as in training",
            rich_help_panel=WHERE,
        ),
    ] = None,
) -> None:
    """Say for each photo whether there is a bear in it, and how sure that is.

    Needs no network connection, no GPU and no torch. A photo that can't be read gets a row with the reason, and the
    exit code is 1.

    Examples:
        bearcnn predict photo.jpg

        bearcnn predict camera1/ camera2/ --format csv > bears.csv

        bearcnn predict card/ --out bears.csv --unsure --bursts 60s

        bearcnn predict card/ --out bears.csv --resume

        bearcnn predict card/ --only-new bears.csv --out bears.csv

        bearcnn predict card/ --sort-into sorted --link symbolic

        bearcnn predict card/ --format megadetector --out timelapse.json

        bearcnn predict camera1/ --heatmaps drawn

        bearcnn predict camera1/ --detections md.json

        bearcnn predict camera1/ --tiles 2

        find card -name '*.JPG' | bearcnn predict - --model bear.onnx --format jsonl

        bearcnn predict /shared/photos --engine ray --address auto --out bears.csv

        bearcnn predict --watch /srv/ftp --alarm 2/3 --on-bear 'siren --photo {}'
    """
    from bearcnn.cli.predict_steps import PredictOptions, answer_photos

    output.check()
    sorting.check()
    engine.check(output.heatmaps, regions.given, watching.watch is not None)
    options = PredictOptions(output, decision, sorting, package, regions, engine, watching, max_megapixels)
    tally = answer_photos(paths or [], model, options)
    if tally.unreadable:
        raise typer.Exit(1)
