"""`bearcnn explain`: what a network sees in a photo."""

from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, choice
from bearcnn.errors import BearcnnError

PARTS = ("all", "photo", "kernels", "convolution", "pooling", "windows", "dropout")
"""`all` and the names of `explain.explain.SECTIONS`, which loads torch."""


def explain(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo to look at.")],
    model: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run folder or a .safetensors file. Default: the newest run.")
    ] = None,
    what: Annotated[str, choice("part of an explanation", PARTS, help="One part alone.")] = PARTS[0],
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="File to write. Default: explain-<photo>.png in this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a network sees in a photo: its kernels and maps, a convolution in numbers, pooling, windows, dropout.

    Every number in the picture is computed with the network's own layers.

    Examples:
        bearcnn explain photo.jpg

        bearcnn explain photo.jpg --what windows --out where.png
    """
    part = "" if what == PARTS[0] else f"-{what}"
    file = out or Path(f"explain-{photo.stem}{part}.png")
    if file.exists():
        raise BearcnnError(f"{file} exists already; nothing is ever overwritten: choose another --out")
    from bearcnn.explain.explain import explain_png
    from bearcnn.files import write_atomically

    write_atomically(file, explain_png(model, photo, what))
    if as_json:
        console.print_json({"picture": str(file), "what": what})
    else:
        console.say(f"drew {console.plain(str(file))}")
