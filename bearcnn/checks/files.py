"""Checks of the files: those that can't be read, are named wrongly, are tiny, or stand outside the class folders."""

from collections.abc import Iterator

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import Collection
from bearcnn.data.details import SUFFIXES

TINY = 64
"""The shorter side, in pixels, below which a picture is tiny."""


def find_unreadable(collection: Collection) -> Iterator[Finding]:
    """Find files that can't be decoded: damaged, truncated, empty, missing, or no pictures at all."""
    for photo in collection.photos:
        if photo.unreadable is not None:
            yield Finding(photo.unreadable, photo)


def find_unlabelled(collection: Collection) -> Iterator[Finding]:
    """Find photos that the source gives no label, where it labels others."""
    for photo in collection.photos:
        if photo.unused is not None:
            yield Finding(photo.unused, photo)


def find_wrong_suffix(collection: Collection) -> Iterator[Finding]:
    """Find files whose content is of another format than their name says."""
    for photo in collection.readable:
        suffixes = SUFFIXES.get(photo.details.format or "")
        if suffixes and photo.path.suffix.lower() not in suffixes:
            yield Finding(f"it is a {photo.details.format} file: {suffixes[0]} fits", photo)


def find_tiny(collection: Collection) -> Iterator[Finding]:
    """Find pictures of few pixels."""
    for photo in collection.readable:
        width, height = photo.details.width, photo.details.height
        if width and height and min(width, height) < TINY:
            yield Finding(f"{width}x{height} px", photo)
