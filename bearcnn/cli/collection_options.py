"""Options of the commands that look at a collection of photos, and how they read it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.display import console
from bearcnn.cli.options import ConfigFile, Overrides
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.checks.collection import Collection, Track

Source = Annotated[
    str,
    typer.Argument(metavar="DIR|FILE", help="Anything that `bearcnn train --data` takes, or any folder of photos."),
]


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """The options for reading the photos."""

    config: ConfigFile = None
    overrides: Overrides = None

    def read(self, source: str, track: "Track", body: str | None = None) -> "Collection":
        """Read a collection; with `body`, for a model with it unless the configuration names one."""
        from bearcnn.checks.collection import read_collection
        from bearcnn.config import load_config

        if not source:
            raise BearcnnError("the name of the photos' folder is empty (an unset variable in the shell?)")
        path = json.dumps(str(Path(source).expanduser().absolute()), ensure_ascii=False)
        settings = [*(self.overrides or []), f"data.path={path}"]
        config = load_config(self.config, settings)
        named = any(setting.partition("=")[0].strip() == "model.body" for setting in settings)
        if body is not None and not named and config.model.body == "none":
            # With the size of pictures, too, that training with a body has: what is decoded now serves it later.
            config = load_config(self.config, [*settings, f"model.body={body}"])
        return read_collection(config, track)


def refuse_existing(file: Path | None) -> None:
    """Refuse a file that exists, before any work is done for it."""
    if file is not None and file.exists():
        raise BearcnnError(f"{file} exists already; choose another name or move it away")


def report_file(file: Path) -> None:
    """Say that a page was written."""
    console.note(f"{console.plain(str(file))}: open it in a browser ({file.stat().st_size / 1e6:.1f} MB)")
