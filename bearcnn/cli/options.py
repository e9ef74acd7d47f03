"""Options that several commands have, and how a command gets its configuration and its photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.cli.display import console

if TYPE_CHECKING:  # for the types alone: a command loads only what it uses
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.runs import Run


KNOBS = "Knobs (short for --set)"

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file; see `bearcnn config show` for every key.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key, such as train.lr=3e-3; can be repeated."),
]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of class folders. Default: built-in scenes.")]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="JSON on stdout, for programs.")]
RunFolder = Annotated[
    Path | None, typer.Argument(metavar="RUN", help="Run folder. Default: the newest finished one (runs/latest).")
]


def knob(what: str) -> Any:
    """An option that is short for a key of the configuration."""
    return typer.Option(metavar="VALUE", help=what, rich_help_panel=KNOBS)


BodyName = Annotated[str | None, knob("Pretrained network before your own: none, efficientnet_lite0 or timm:NAME.")]
KernelSize = Annotated[str | None, knob("Convolution window: 1, 3, 5, 7 ... or one a block: 5,3,3,3.")]
Stride = Annotated[str | None, knob("2 halves the map in the convolution, 1 in a pooling window.")]
Pooling = Annotated[str | None, knob("max, avg or concat (both side by side).")]
Dropout = Annotated[str | None, knob("Share of the features dropped before the last layer.")]
InputDropout = Annotated[str | None, knob("Share of the picture's pixels dropped.")]
ImageSize = Annotated[str | None, knob("Side of the picture that the network sees, in pixels.")]
Epochs = Annotated[str | None, knob("Times that every photo is seen.")]
BatchSize = Annotated[str | None, knob("Photos in one step.")]
LearningRate = Annotated[str | None, knob("Highest learning rate.")]


def load_configuration(file: Path | None, overrides: list[str] | None, knobs: dict[str, str | None]) -> "Config":
    """The configuration of file, --set and knobs, the later ones winning; the data folder made absolute."""
    from bearcnn.config import load_config

    spelled = [f"{key}=[{value}]" if "," in value else f"{key}={value}" for key, value in knobs.items() if value]
    config = load_config(file, [*(overrides or []), *spelled])
    if not config.data.path:
        return config
    # A run must find its photos again from wherever it is resumed or evaluated.
    data = config.data.model_copy(update={"path": str(Path(config.data.path).expanduser().absolute())})
    return config.model_copy(update={"data": data})


def open_with_progress(config: "Config") -> "Dataset":
    """A configuration's photos, decoded; how far that is shows on the terminal."""
    from bearcnn.data.dataset import Dataset

    with console.tracking() as track:
        return Dataset.from_config(
            config.data, on_listing=track("drawing scenes"), on_progress=track("decoding photos")
        )


def open_folder(folder: str, config: "Config") -> "Dataset":
    """Labelled photos that the run knows nothing of: unless the folder is split itself, all of them count as test."""
    from bearcnn.data.dataset import Dataset

    with console.tracking() as track:
        return Dataset.for_evaluation(Path(folder), config.data, track("decoding photos"))


def reopen_with_progress(run: "Run") -> "Dataset":
    """The photos of a run, decoded; how far that is shows on the terminal."""
    from bearcnn.data.dataset import Dataset

    with console.tracking() as track:
        return Dataset.from_record(
            run.dataset_record(),
            run.config().data,
            on_listing=track("drawing scenes"),
            on_progress=track("decoding photos"),
        )
