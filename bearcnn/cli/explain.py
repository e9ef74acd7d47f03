"""`bearcnn explain`: what a network sees in a photo."""

from pathlib import Path
from typing import Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import AsJson, choice
from bearcnn.errors import BearcnnError

PARTS = (
    "all",
    "photo",
    "edge",
    "kernels",
    "convolution",
    "stride",
    "matrix-product",
    "features",
    "pooling",
    "windows",
    "dropout",
)
"""`all` and the names of `explain.explain.SECTIONS`, which loads torch."""
PAGES = (".html", ".htm")


def explain(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo to look at.")],
    model: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A run folder or a .safetensors file.", show_default="the newest run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .png picture, or an .html page to point at places of a map.",
            show_default="explain-<photo>.png here",
        ),
    ] = None,
    what: Annotated[
        str, choice("part of an explanation", PARTS, metavar="PART", help=f"One part alone: {', '.join(PARTS[1:])}.")
    ] = PARTS[0],
    kernel: Annotated[
        int | None,
        typer.Option(metavar="N", help="The first layer's kernel, from 1.", show_default="the one that counts most"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y",
            help="A place, in percent of the width and height of the network's picture: 50,50 is its middle.",
            show_default="where the kernel counts most",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a network sees in a photo: kernels, a convolution in numbers, pooling, windows, dropout.

    Every number is computed with the network's own layers. Maps and places are
    those that contribute most to the answer. On a page (.html) you point at any
    place of a map, and see its window, the kernel and the sum.

    Examples:
        bearcnn explain photo.jpg --out photo.html

        bearcnn explain photo.jpg --what matrix-product --kernel 5 --at 40,65
    """
    place = parse_place(at)
    part = "" if what == PARTS[0] else f"-{what}"
    file = out or Path(f"explain-{photo.stem}{part}.png")
    is_page = file.suffix.lower() in PAGES
    if is_page and part:
        raise BearcnnError(f"--what {what} is one part as a .png picture; the page {file} has all parts: omit --what")
    if file.exists():
        raise BearcnnError(f"{file} exists already; nothing is ever overwritten: choose another --out")
    from bearcnn.cli.display.explanation import show_lesson
    from bearcnn.explain.explain import draw_page, draw_png, open_lesson, summarize
    from bearcnn.files import write_atomically

    lesson = open_lesson(model, photo, kernel=kernel, at=place)
    write_atomically(file, draw_page(lesson) if is_page else draw_png(lesson, what))
    summary = summarize(lesson)
    if as_json:
        console.print_json({"picture": str(file), "what": what, **summary.as_dict()})
    else:
        show_lesson(summary, photo, file, model, is_page=is_page)


def parse_place(text: str | None) -> tuple[float, float] | None:
    """Parse `40,65`, a place in percent of the width and the height."""
    if text is None:
        return None
    try:
        across, down = (float(each) for each in text.split(","))
    except ValueError:
        raise BearcnnError(f"--at {text}: expected X,Y in percent of the width and the height, such as 40,65") from None
    return across, down
