"""File names as text."""

import os


def readable(name: str | os.PathLike[str]) -> str:
    r"""Return a file name as text: bytes that aren't UTF-8 (an old zip's Latin-1) become escapes such as `\xf6`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
