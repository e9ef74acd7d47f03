"""A contact sheet of drawn heat maps: one HTML page beside them, the surest first."""

import heapq
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from bearcnn.evaluation.formats import decimal
from bearcnn.manifest import Manifest
from bearcnn.registry import load

LISTED = 10_000
"""Pictures on a page at most: a phone can still scroll through them, and a watch for months keeps its memory."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One drawn heat map; the surer is the greater."""

    probability: float
    photo: str
    """The photo's path, for people."""
    file: PurePosixPath
    """The picture, below the page's folder."""

    @property
    def link(self) -> str:
        """The picture's address from the page; a name can be any bytes."""
        return quote(os.fsencode(self.file))


class ContactSheet:
    """Collects heat maps, of which it keeps the LISTED surest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._entries: list[Entry] = []  # a heap, the least sure first
        self._count = 0

    def add(self, entry: Entry) -> None:
        """Add a heat map that is written."""
        self._count += 1
        push = heapq.heappush if len(self._entries) < LISTED else heapq.heappushpop
        push(self._entries, entry)

    def render(self) -> bytes:
        """Return the page as HTML; it needs no other file but the pictures, and runs no script."""
        # not before there is something to write: a prediction starts faster
        template: Any = load("bearcnn.pages:load_template")("bearcnn.inference", "contact_sheet.html", {})
        entries, threshold = sorted(self._entries, reverse=True), self._manifest.threshold
        bears = sum(entry.probability >= threshold for entry in entries)
        negative, positive = self._manifest.classes
        page: str = template.render(
            manifest=self._manifest,
            decimal=decimal,
            count=self._count,
            left_out=self._count - len(entries),
            sections=[("positive", positive, entries[:bears]), ("negative", negative, entries[bears:])],
        )
        return page.encode("utf-8", "backslashreplace")
