"""A trained network and a photo -> one picture of the network at work, section by section."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from bearcnn.data.photos import load_pixels
from bearcnn.errors import BearcnnError, PhotoError
from bearcnn.explain import answer_figures, figures
from bearcnn.explain.activations import Subject, find_maps, kernels, score_windows, take_step, try_dropout
from bearcnn.explain.canvas import stack
from bearcnn.model.load import find_weights, load_model
from bearcnn.registry import explain_choice
from bearcnn.runs import Run

Section = Callable[[Subject], Figure]

SECTIONS: dict[str, Section] = {
    "photo": figures.draw_photo,
    "kernels": lambda subject: figures.draw_kernels(subject, kernels(subject.network), find_maps(subject)),
    "convolution": lambda subject: figures.draw_convolution(subject, take_step(subject)),
    "pooling": lambda subject: figures.draw_pooling(subject, take_step(subject)),
    "windows": lambda subject: answer_figures.draw_windows(subject, score_windows(subject)),
    "dropout": lambda subject: answer_figures.draw_dropout(subject, try_dropout(subject)),
}


def explain(run: Run | Path | str | None, photo: Path | str, what: str = "all") -> Image.Image:
    """Draw a trained network at work on a photo: an RGB picture, section below section.

    Args:
        run: a run, its folder, a .safetensors file, or None for the newest run.
        photo: the photo's file.
        what: one section alone ("photo", "kernels", "convolution", "pooling", "windows" or "dropout"), or "all".

    Raises:
        PhotoError: the photo can't be read.
        RunError: there is no such run.
        ModelFileError: its weights are missing or damaged.
    """
    if what != "all" and what not in SECTIONS:
        raise BearcnnError(explain_choice("part of an explanation", what, ["all", *SECTIONS]))
    model = run.directory if isinstance(run, Run) else None if run is None else Path(run)
    trained = load_model(find_weights(model))
    try:
        most = trained.config.data.max_megapixels
        pixels = load_pixels(Path(photo), trained.manifest.image_size, trained.manifest.resize, most)
    except PhotoError as error:
        raise PhotoError(f"{photo}: {error}") from None
    subject = Subject(trained.network, trained.manifest, trained.config.model, pixels, Path(photo).name)
    chosen = SECTIONS.values() if what == "all" else [SECTIONS[what]]
    return stack([draw(subject) for draw in chosen])


def explain_png(run: Run | Path | str | None, photo: Path | str, what: str = "all") -> bytes:
    """Draw the same picture as a PNG file."""
    buffer = BytesIO()
    explain(run, photo, what).save(buffer, "PNG")
    return buffer.getvalue()
