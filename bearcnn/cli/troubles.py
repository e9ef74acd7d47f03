"""Troubles of the computer that no command can foresee everywhere, and no bugs: each in one line."""

import errno
import os

from bearcnn.data.names import on_one_line

_WORDS = {
    getattr(errno, name): words
    for name, words in (
        ("ENOSPC", "the disk is full; make room"),
        ("EDQUOT", "the disk quota is used up; make room"),
        ("EFBIG", "a file may not grow any further (ulimit -f, or a file system's limit)"),
        ("EIO", "the drive fails; is it damaged?"),
        ("EROFS", "the drive can only be read"),
        ("EACCES", "permission denied"),
        ("EPERM", "that isn't permitted"),
        ("ENAMETOOLONG", "the name is too long"),
        ("ELOOP", "links lead in a circle"),
        ("ENOTDIR", "a part of its path is a file"),
        ("EMFILE", "too many files are open; allow more, such as with: ulimit -n 1024"),
        ("ENFILE", "too many files are open on this computer"),
        ("ESTALE", "the network drive has lost it"),
    )
    if hasattr(errno, name)
}


def explain_trouble(error: Exception) -> str:
    """Say in one line what is wrong with the computer; nothing if that is not the reason."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "there is not enough memory; try smaller batches, or close other programs"
    if not isinstance(error, OSError) or error.errno not in _WORDS:
        return ""
    words = _WORDS[error.errno]
    if error.filename is None:
        return f"can't write the output: {words}"
    return f"{on_one_line(os.fsdecode(error.filename))} can't be used: {words}"
