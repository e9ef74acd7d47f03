"""`bearcnn data synth`, `fetch`, `cache`: make, fetch and keep data sets."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson
from bearcnn.errors import BearcnnError
from bearcnn.registry import explain_choice, one_of

FETCHED = ("cifar100-bears",)
"""Public data sets that can be fetched."""


def _check_fetched(name: str) -> str:
    if name not in FETCHED:
        raise BearcnnError(explain_choice("data set to fetch", name, FETCHED))
    return name


def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    count: Annotated[int, typer.Option(metavar="NUMBER", min=20, help="Pictures, half of them with a bear.")] = 6000,
    size: Annotated[int, typer.Option(metavar="PIXELS", min=16, max=2048, help="Side of a picture.")] = 96,
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="The same seed draws the same pictures.")] = 0,
    bear_scale: Annotated[
        str,
        typer.Option(metavar="LOW-HIGH", help="The animal's share of the picture's side, within 0.05-0.6."),
    ] = "0.5-0.6",
    clutter: Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="How busy the scene is.")] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Draw a data set to learn on: scenes with bears, with other animals, and with none.

    You choose how large the animals are and how busy the scenes are; scenes.jsonl holds the box of each animal.

    Examples:
        bearcnn data synth scenes

        bearcnn data synth hard --bear-scale 0.1-0.2 --clutter 0.9
    """
    from bearcnn.data.synthetic.scenes import write_scenes

    with console.tracking() as track:
        summary = write_scenes(
            directory,
            count=count,
            size=size,
            seed=seed,
            bear_scale=_parse_scale(bear_scale),
            clutter=clutter,
            on_progress=track("drawing scenes"),
        )
    if as_json:
        console.print_json(asdict(summary))
    else:
        console.say(
            f"drew {count:,} scenes; train on them with: [bold]bearcnn train --data {console.plain(str(directory))}[/]"
        )


def _parse_scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise BearcnnError(f"--bear-scale {text}: expected a number or a range, such as 0.3 or 0.1-0.4") from None


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{one_of(FETCHED)}.", callback=_check_fetched)],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    negatives_per_bear: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=99, help="Other pictures for each bear.")
    ] = 4,
    as_json: AsJson = False,
) -> None:
    """Fetch real photos: the bears of CIFAR-100 (32 px) against its other classes.

    Half of the others are the animals most like bears; the rest is spread over everything else. The download (169 MB)
    is checked by its SHA-256 and kept; one that is interrupted starts again.

    Example:
        bearcnn data fetch cifar100-bears photos
    """
    from bearcnn.data.download import fetch_cifar100_bears

    with console.tracking() as track:
        summary = fetch_cifar100_bears(
            directory,
            negatives_per_bear=negatives_per_bear,
            on_download=track("downloading"),
            on_progress=track("sorting"),
        )
    if as_json:
        console.print_json(asdict(summary))
        return
    console.say(
        f"{summary.bears:,} bears, {summary.others:,} others; train on them with: "
        f"[bold]bearcnn train --data {console.plain(str(directory))} --image-size 32[/]"
    )


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", metavar="", help="Delete them; photos are decoded again when needed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what lets the next training run start at once: decoded pixels, and pretrained bodies' maps of them."""
    from bearcnn.cli.display.dataset import show_caches
    from bearcnn.data.cache_folder import cache_root, clear_caches, list_caches

    if clear:
        number, freed = clear_caches()
        if as_json:
            console.print_json({"deleted": number, "bytes": freed})
        else:
            console.say(f"deleted {number} entries, {freed / 1e6:.1f} MB")
        return
    entries = list_caches()
    if as_json:
        console.print_json([asdict(entry) for entry in entries])
    elif entries:
        show_caches(entries)
    else:
        console.note(f"nothing is kept in {console.plain(str(cache_root()))}")
