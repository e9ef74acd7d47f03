"""A trained network and a photo -> pictures of the network at work, section by section, or a page of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from bearcnn.data.photos import load_pixels
from bearcnn.errors import BearcnnError, PhotoError
from bearcnn.explain import answer_figures, convolution_figures, feature_figures, figures
from bearcnn.explain.canvas import stack
from bearcnn.explain.lesson import Lesson
from bearcnn.explain.page import render
from bearcnn.explain.subject import Focus, Subject
from bearcnn.model.load import find_weights, load_model
from bearcnn.registry import explain_choice
from bearcnn.runs import Run
from bearcnn.signs import show

Model = Run | Path | str | None


@dataclass(frozen=True, slots=True)
class BestWindow:
    """The window with the highest score, and its centre in percent of the width and the height."""

    score: float
    at: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an explanation found, in a few numbers; places are in percent of the width and the height."""

    probability: float
    label: str
    positive: str
    threshold: float
    best_window: BestWindow
    kernel: int  # of the first layer, from 1
    at: tuple[float, float]  # the centre of its place
    chosen: bool  # whether the reader asked for the kernel or the place

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain tables and numbers."""
        return asdict(self)


SECTIONS: dict[str, Callable[[Lesson], Figure]] = {
    "photo": lambda lesson: figures.draw_photo(lesson.subject, lesson.traced),
    "edge": lambda lesson: figures.draw_edge(lesson.subject, lesson.edge, lesson.focus.at is not None),
    "kernels": lambda lesson: figures.draw_kernels(
        lesson.subject, lesson.kernels, lesson.traced, chosen=lesson.place.kernel
    ),
    "convolution": lambda lesson: convolution_figures.draw_convolution(
        lesson.subject, lesson.step, lesson.following, lesson.which
    ),
    "stride": lambda lesson: convolution_figures.draw_strides(
        lesson.subject, lesson.strides, (lesson.place.row, lesson.place.column)
    ),
    "matrix-product": lambda lesson: convolution_figures.draw_matrix_product(
        lesson.subject, lesson.product, lesson.step
    ),
    "features": lambda lesson: feature_figures.draw_features(lesson.subject, lesson.features),
    "pooling": lambda lesson: feature_figures.draw_pooling(lesson.subject, lesson.head, lesson.feature, lesson.pooled),
    "windows": lambda lesson: answer_figures.draw_windows(lesson.subject, lesson.windows, lesson.focus.at),
    "dropout": lambda lesson: answer_figures.draw_dropout(lesson.subject, lesson.dropout, lesson.traced),
}


def explain(
    run: Model,
    photo: Path | str,
    what: str = "all",
    *,
    kernel: int | None = None,
    at: tuple[float, float] | None = None,
) -> Image.Image:
    """Draw a trained network at work on a photo: an RGB picture, section below section.

    Args:
        run: a run, its folder, a .safetensors file, or None for the newest run.
        photo: the photo's file.
        what: one section alone ("photo", "edge", "kernels", "convolution", "stride", "matrix-product", "features",
            "pooling", "windows" or "dropout"), or "all".
        kernel: the first layer's kernel to show, by its number from 1; by default the one that contributes most to
            the answer.
        at: the place to show, (across, down) in percent of the sides of the square that the network gets, from its top
            left corner; by default the one that contributes most to the answer.

    Raises:
        PhotoError: the photo can't be read.
        RunError: there is no such run.
        ModelFileError: its weights are missing or damaged.
        BearcnnError: there is no such section, kernel or place.
    """
    return draw(open_lesson(run, photo, kernel=kernel, at=at), what)


def open_lesson(
    run: Model, photo: Path | str, *, kernel: int | None = None, at: tuple[float, float] | None = None
) -> Lesson:
    """Load a network and a photo to explain; arguments and errors are those of `explain`."""
    if at is not None and not all(0 <= share <= 100 for share in at):
        raise BearcnnError(f"`at` {at[0]:g},{at[1]:g}: expected percent of the width and the height, 0 to 100 each")
    model = run.directory if isinstance(run, Run) else None if run is None else Path(run)
    weights = find_weights(model)
    trained = load_model(weights)
    try:
        most = trained.config.data.max_megapixels
        pixels = load_pixels(Path(photo), trained.manifest.image_size, trained.manifest.resize, most)
    except PhotoError as error:
        raise PhotoError(f"{photo}: {error}") from None
    folder = weights.resolve().parent
    name = folder.name if (folder / "config.toml").is_file() else weights.name
    subject = Subject(
        trained.network, trained.manifest, trained.config.model, pixels, show(Path(photo).name), show(name)
    )
    shares = None if at is None else (at[0] / 100, at[1] / 100)
    return Lesson(subject, Focus(None if kernel is None else kernel - 1, shares))


def draw(lesson: Lesson, what: str = "all") -> Image.Image:
    """Draw a lesson, or one section of it.

    Raises:
        BearcnnError: there is no such section.
    """
    if what != "all" and what not in SECTIONS:
        raise BearcnnError(explain_choice("part of an explanation", what, ["all", *SECTIONS]))
    chosen = SECTIONS.values() if what == "all" else [SECTIONS[what]]
    return stack([section(lesson) for section in chosen], lesson.subject.describe())


def draw_png(lesson: Lesson, what: str = "all") -> bytes:
    """Draw the same picture as a PNG file."""
    buffer = BytesIO()
    draw(lesson, what).save(buffer, "PNG")
    return buffer.getvalue()


def summarize(lesson: Lesson) -> Summary:
    """Say in a few numbers what a lesson found."""
    subject, windows, step = lesson.subject, lesson.windows, lesson.step
    row, column = windows.best
    centres = step.field.centres(len(step.map), subject.manifest.image_size)
    return Summary(
        probability=subject.answer(),
        label=subject.manifest.classes[subject.is_positive],
        positive=subject.positive,
        threshold=subject.manifest.threshold,
        best_window=BestWindow(
            float(windows.scores.max()),
            (_percent(windows.windows.centres[column]), _percent(windows.windows.centres[row])),
        ),
        kernel=step.place.kernel + 1,
        at=(_percent(centres[step.place.column]), _percent(centres[step.place.row])),
        chosen=lesson.focus != Focus(),
    )


def _percent(share: float) -> float:
    return round(100 * float(share), 1)


def draw_page(lesson: Lesson) -> bytes:
    """Draw a lesson as one HTML page without other files, on which the places of a map can be pointed at."""
    return render(lesson).encode("utf-8", "backslashreplace")  # a file's name can be any bytes
