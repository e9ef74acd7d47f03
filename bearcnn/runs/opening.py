"""How a run folder is chosen, made and found."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from bearcnn.config import Config, dump_config
from bearcnn.errors import RunError
from bearcnn.files import write_atomically
from bearcnn.latest import RUNS, latest_directory
from bearcnn.runs.folder import Run
from bearcnn.runs.lock import is_empty


def choose_directory(config: Config, now: datetime, purpose: str = "", out: Path | None = None) -> Path:
    """Make the folder of a new run and return it: `out`, or runs/<time>-<name> with a number where that is taken.

    Raises:
        RunError: `out` exists and is not an empty folder, or the folder can't be made.
    """
    if out is None:
        name = f"{now:%Y%m%d-%H%M%S}-{config.train.name}" + (f"-{purpose}" if purpose else "")
        return make_free_folder(RUNS / name)
    try:
        if out.exists() and not (out.is_dir() and is_empty(out)):
            instead = "choose another folder"
            if Run(out).config_file.exists():
                instead += f", or continue the run in it: bearcnn train --resume {out}"
            raise RunError(f"{out} exists and is not empty; nothing is ever overwritten: {instead}")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cant_make(out, error) from None
    return out


@contextmanager
def dropped_if_empty(directory: Path, unless: bool = False) -> Iterator[None]:
    """Remove a folder after an error if nothing was written into it, and not `unless` it was there before."""
    try:
        yield
    except BaseException:
        if not unless:
            with suppress(OSError):
                directory.rmdir()
                if directory.parent in (RUNS, Path("sweeps")):
                    directory.parent.rmdir()
        raise


def create_run(directory: Path, config: Config) -> Run:
    """Make a new run folder with its configuration.

    Raises:
        RunError: the folder can't be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cant_make(directory, error) from None
    run = Run(directory)
    write_atomically(run.config_file, dump_config(config, explained=True).encode())
    return run


def open_run(directory: Path | str | None = None) -> Run:
    """Open the run in a folder, or the newest finished run for None.

    Raises:
        RunError: there is no run.
    """
    directory = latest_directory() if directory is None else Path(directory)
    run = Run(directory)
    try:
        if run.config_file.is_file():
            return run
        what = (
            "is not a run folder (it has no config.toml)"
            if directory.is_dir()
            else "is a file; name the run folder"
            if directory.is_file()
            else "does not exist"
        )
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be entered
        raise RunError(f"can't open {directory}: {getattr(error, 'strerror', None) or error}") from None
    raise RunError(f"{directory} {what}; `bearcnn train` makes a run, and prints its folder")


def make_free_folder(directory: Path) -> Path:
    """Make a folder of this name, or of the first with -2, -3, ... after it that isn't taken.

    Processes that ask at the same moment get folders of their own.

    Raises:
        RunError: the folder can't be made.
    """
    free, number = directory, 1
    while True:
        try:
            free.mkdir(parents=True)
            return free
        except FileExistsError:
            number += 1
            free = directory.with_name(f"{directory.name}-{number}")
        except OSError as error:
            raise _cant_make(free, error) from None


def _cant_make(directory: Path, error: OSError) -> RunError:
    return RunError(f"can't make the run folder {directory}: {error.strerror or error}; choose another folder")
