"""The parts of a package that are known before its photos are predicted."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bearcnn.inference.camtrap.tables import Row


@dataclass(frozen=True, slots=True)
class Medium:
    """One photo of a package."""

    media_id: str
    deployment: str
    taken: datetime  # with its zone
    path: Path


@dataclass(slots=True)
class PackagePlan(ABC):
    """A package to be written: its photos, by their paths, and those that have no place in it, with the reasons."""

    scientific_name: str
    photos: dict[str, Medium] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @abstractmethod
    def files(self, observations: Sequence[Row], errors: Mapping[str, str]) -> dict[str, bytes]:
        """Return the package's files.

        Args:
            observations: the new ones.
            errors: the reasons why photos can't be read, by their media ids.
        """

    @abstractmethod
    def notes(self) -> list[str]:
        """Return the facts that nobody has stated, and what was done instead."""
