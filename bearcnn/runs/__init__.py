"""Run folders: their files, and how a run is made, found, read, locked and linked."""

from bearcnn.runs.folder import Run
from bearcnn.runs.opening import choose_directory, create_run, dropped_if_empty, make_free_folder, open_run
from bearcnn.runs.records import NO_NORM, EpochRecord, LayerRow

__all__ = [
    "NO_NORM",
    "EpochRecord",
    "LayerRow",
    "Run",
    "choose_directory",
    "create_run",
    "dropped_if_empty",
    "make_free_folder",
    "open_run",
]
