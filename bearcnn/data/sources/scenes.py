"""The built-in drawn scenes as a source: drawn on first use, then a folder like any other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bearcnn.data import OnProgress
from bearcnn.data.cache_folder import cache_root
from bearcnn.data.sources.base import Listing
from bearcnn.data.sources.folders import list_folders
from bearcnn.data.synthetic.scenes import builtin_scenes


def list_scenes(path: Path, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """Return the built-in scenes' photos, whatever `path` says; `on_progress` counts pictures while they are drawn."""
    return replace(list_folders(builtin_scenes(cache_root(), on_progress), positive), independent=True)
