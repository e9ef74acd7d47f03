"""File names as text."""

import os


def readable(name: str | os.PathLike[str]) -> str:
    r"""Return a file name as text: bytes that aren't UTF-8 (an old zip's Latin-1) become escapes such as `\xf6`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def on_one_line(name: str | os.PathLike[str]) -> str:
    r"""Return a file name as text in one line: as `readable`, with escapes such as `\n` for control characters."""
    text = readable(name)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
