"""Checks of what is on the pictures: nothing, hardly anything, or all of it too bright."""

from collections.abc import Iterator

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import BLACK, Collection

DARK = 64
"""A picture of which 99% is darker, of 255, is very dark: of 2,458 web photos none is, with animals at night to 88."""

OVEREXPOSED = 200
"""A picture of which 95% is brighter, of 255, is overexposed; polar bears on snow reach 184."""


def find_blank(collection: Collection) -> Iterator[Finding]:
    """Find pictures with nothing on them."""
    for photo in collection.readable:
        if collection.is_blank(photo):
            black = collection.measures.bright[photo.row] < BLACK
            yield Finding("black" if black else "all of one colour", photo)


def find_dark(collection: Collection) -> Iterator[Finding]:
    """Find pictures that are very dark, but not black."""
    for photo in collection.readable:
        bright = collection.measures.bright[photo.row]
        if bright < DARK and not collection.is_blank(photo):
            yield Finding(f"99% of it is darker than {bright / 255:.0%} grey", photo)


def find_overexposed(collection: Collection) -> Iterator[Finding]:
    """Find pictures that are nearly white."""
    for photo in collection.readable:
        dim = collection.measures.dim[photo.row]
        if dim > OVEREXPOSED and not collection.is_blank(photo):
            yield Finding(f"95% of it is brighter than {dim / 255:.0%} grey", photo)
