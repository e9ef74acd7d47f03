"""Options that several commands have, and how a command gets its configuration and its photos."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bearcnn.bodies import SAFETENSORS
from bearcnn.cli.display import console
from bearcnn.cli.help import MORE, HelpedCommand
from bearcnn.errors import BearcnnError
from bearcnn.registry import explain_choice

if TYPE_CHECKING:  # for the types alone: a command loads only what it uses
    from bearcnn.config import Config
    from bearcnn.data.dataset import Dataset
    from bearcnn.runs import Run


KNOBS = "More knobs (short for --set)"
"""Heading of the options that are short for a config key and that few people need."""

KNOB_KEYS = {
    "body": "model.body",
    "kernel_size": "model.kernel_size",
    "stride": "model.stride",
    "pooling": "model.pooling",
    "dropout": "model.dropout",
    "epochs": "train.epochs",
    "input_dropout": "model.input_dropout",
    "image_size": "data.image_size",
    "batch_size": "train.batch_size",
    "lr": "train.lr",
    "unfreeze": "train.unfreeze",
    "seed": "train.seed",
    "folds": "train.folds",
}
"""The config key of each option that is short for one; the help takes its range and default from there."""


class KnobCommand(HelpedCommand):
    """A command with options that are short for config keys."""

    knobs = KNOB_KEYS


def choice(
    what: str,
    names: Sequence[str],
    *spelling: str,
    help: str,
    metavar: str = "",
    panel: str | None = None,
    default: str | bool = True,
) -> Any:
    """Make an option with a few possible values; another value is one line that names the nearest.

    `default` are the words for a value that is found when none is given.
    """

    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise BearcnnError(explain_choice(what, value, names))
        return value

    return typer.Option(
        *spelling,
        metavar=metavar or "|".join(names),
        help=help,
        callback=check,
        autocompletion=lambda: list(names),
        rich_help_panel=panel,
        show_default=default,
    )


def knob(metavar: str, what: str, panel: str | None = None) -> Any:
    """Make an option that is short for a key of the configuration."""
    return typer.Option(metavar=metavar, help=what, rich_help_panel=panel)


def refuse_empty(folder: str | None) -> str | None:
    """Refuse the value of an unset shell variable, which would mean another data set."""
    if folder == "":
        raise BearcnnError("--data is empty (an unset variable in the shell?): name a folder or file, or omit --data")
    return folder


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file; `bearcnn config show` lists the keys."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key, such as train.lr=3e-3; can be repeated."),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Folders, CSV, COCO or Camtrap DP.",
        show_default="drawn scenes",
        callback=refuse_empty,
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME",
        help="Name of a CSV's column, such as label=Species; can be repeated. See data.columns.",
        rich_help_panel=MORE,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="JSON on stdout, for programs.")]
RunFolder = Annotated[Path | None, typer.Argument(metavar="RUN", help="Run folder.", show_default="the newest run")]


@dataclass(frozen=True, slots=True)
class ConfigOptions:
    """The options that make a configuration, in the order of the help."""

    data: Data = None
    body: Annotated[str | None, knob("NAME", "Pretrained network below: efficientnet_lite0, timm:NAME or FILE.")] = None
    kernel_size: Annotated[str | None, knob("SIDE", "Side of each window.")] = None
    stride: Annotated[str | None, knob("STEP", "2 halves maps, 1 leaves it to pooling.")] = None
    pooling: Annotated[str | None, knob("MODE", "Kept of each window.")] = None
    dropout: Annotated[str | None, knob("RATE", "Features dropped before the head.")] = None
    epochs: Annotated[str | None, knob("NUMBER", "Times each photo is used.")] = None
    config: ConfigFile = None
    overrides: Overrides = None
    image_size: Annotated[str | None, knob("PIXELS", "Side of the picture that the network sees.", KNOBS)] = None
    input_dropout: Annotated[str | None, knob("RATE", "Pixels of the picture dropped.", KNOBS)] = None
    batch_size: Annotated[str | None, knob("NUMBER", "Photos in one step.", KNOBS)] = None
    lr: Annotated[str | None, knob("RATE", "Highest learning rate.", KNOBS)] = None
    unfreeze: Annotated[
        str | None, knob("STAGES", "Stages of the pretrained body, from its last, that learn too at the end.", KNOBS)
    ] = None
    detections: Annotated[
        str | None, knob("FILE", "MegaDetector's results of the photos: they are seen as crops of animals.", KNOBS)
    ] = None
    column: Column = None

    @property
    def knobs(self) -> dict[str, str]:
        """The options that are spellings of --set and were given, by config key."""
        spelled = {
            "data.path": None if self.data is None else json.dumps(self.data, ensure_ascii=False),  # "2024" is a name
            **{f"data.columns.{role}": json.dumps(names) for role, names in parse_columns(self.column).items()},
            **{key: getattr(self, name, None) for name, key in KNOB_KEYS.items()},
            "data.detections": None if self.detections is None else json.dumps(self.detections, ensure_ascii=False),
        }
        return {key: value for key, value in spelled.items() if value is not None}

    @property
    def set_keys(self) -> list[str]:
        """The config keys that the user has set, one way or the other."""
        return [*(override.partition("=")[0].strip() for override in self.overrides or []), *self.knobs]

    @property
    def given(self) -> bool:
        """Whether the user has said anything about the configuration."""
        return bool(self.config or self.set_keys)

    def load(self, file: Path | None = None, **train: str | None) -> "Config":
        """Load the configuration of --config (else of `file`), --set and knobs, the later ones winning.

        `train` are further keys of the section train. The data folder, its detections and the file of a body become
        absolute.
        """
        from bearcnn.config import load_config

        further = {f"train.{key}": value for key, value in train.items() if value is not None}
        spelled = [f"{key}={value}" for key, value in {**self.knobs, **further}.items()]
        config = load_config(self.config or file, [*(self.overrides or []), *spelled])
        # A run must find its photos and its body again from wherever it is resumed or evaluated.
        paths = {"path": config.data.path, "detections": config.data.detections}
        absolute = {key: _absolute(path) for key, path in paths.items() if path}
        if absolute:
            config = config.model_copy(update={"data": config.data.model_copy(update=absolute)})
        if config.model.body.endswith(SAFETENSORS):
            model = config.model.model_copy(update={"body": _absolute(config.model.body)})
            config = config.model_copy(update={"model": model})
        return config


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of each parameter that is of a dataclass, the dataclass's fields as options."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        parameters += [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for each in fields(groups[name])
        ]

    @wraps(command)
    def with_options(**values: Any) -> None:
        made = {
            name: kind(**{each.name: values.pop(each.name) for each in fields(kind)}) for name, kind in groups.items()
        }
        command(**values, **made)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def open_with_progress(config: "Config") -> "Dataset":
    """Open a configuration's photos, decoded; how far that is shows on the terminal."""
    from bearcnn.data.dataset import Dataset

    with console.tracking() as track:
        return Dataset.from_config(
            config.data, on_listing=track("drawing scenes"), on_progress=track("decoding photos")
        )


def open_folder(
    path: str, config: "Config", column: Sequence[str] | None = None, detections: Path | None = None
) -> "Dataset":
    """Open labelled photos that the run knows nothing of: unless they are split already, all of them count as test.

    `column` names a CSV file's columns, as the option does; without it, the configuration does. `detections` are of
    these photos; those that the configuration names are not.
    """
    from bearcnn.config import make_data_config
    from bearcnn.data.dataset import Dataset

    columns = make_data_config({"columns": parse_columns(column)}).columns if column else None
    with console.tracking() as track:
        data = config.data.model_copy(update={"detections": str(detections or "")})
        return Dataset.for_evaluation(Path(path), data, track("decoding photos"), columns=columns)


def parse_columns(texts: Sequence[str] | None) -> dict[str, list[str]]:
    """Parse `role=name`, one text per column; names of a repeated role are folders first, the file's name last."""
    columns: dict[str, list[str]] = {}
    for text in texts or []:
        role, equals, name = text.partition("=")
        if not equals or not role.strip() or not name.strip():
            raise BearcnnError(f"--column {text}: expected ROLE=NAME, such as label=Species")
        columns.setdefault(role.strip(), []).append(name.strip())
    return columns


def reopen_with_progress(run: "Run") -> "Dataset":
    """Open the photos of a run, decoded; how far that is shows on the terminal."""
    return reopen_record(run.dataset_record(), run.config())


def reopen_record(record: "dict[str, Any]", config: "Config") -> "Dataset":
    """Open the photos of a run whose dataset.json and configuration these are, as `reopen_with_progress` does."""
    from bearcnn.data.dataset import Dataset

    with console.tracking() as track:
        return Dataset.from_record(
            record,
            config.data,
            on_listing=track("drawing scenes"),
            on_progress=track("decoding photos"),
        )
