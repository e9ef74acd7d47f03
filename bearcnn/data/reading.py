"""Photo files to bytes: of regular files alone, and of each no more than a limit."""

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from bearcnn.errors import PhotoError, PhotoMemoryError
from bearcnn.geometry import MAX_MEGAPIXELS

_BYTES_PER_PIXEL = 2  # of the largest file: a photo of 50 megapixels at the best JPEG quality has 0.5 to 1


def open_photo(path: Path) -> BinaryIO:
    """Open a photo file for reading; raises PhotoError with the reason if it is none or can't be opened.

    What is no regular file is never waited for, not even if it becomes a pipe at this moment.
    """
    try:
        _check_regular(path.stat())  # a device isn't even opened
        # A descriptor of its own, which can't become another file any more.
        file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - Path.open takes no opener
    except OSError as error:
        raise PhotoError(_why(error)) from error
    except ValueError as error:  # a zero byte in the name
        raise PhotoError("not a file name") from error
    try:
        _check_regular(os.fstat(file.fileno()))
    except PhotoError:
        file.close()
        raise
    return file


def read_photo(path: Path, max_megapixels: int = MAX_MEGAPIXELS) -> bytes:
    """Read the bytes of a photo file; raises PhotoError with the reason if that fails."""
    limit = byte_limit(max_megapixels)
    with open_photo(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            data = b"" if size > limit else file.read(size + 1)
            if len(data) > size:  # it grows meanwhile
                data += file.read(limit + 1 - len(data))
        except OSError as error:
            raise PhotoError(_why(error)) from error
        except MemoryError as error:
            raise PhotoMemoryError from error
    size = max(size, len(data))
    if size > limit:
        raise PhotoError(f"too large: a file of {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f}")
    return data


def byte_limit(max_megapixels: int) -> int:
    """Return the size of the largest file that is read, in bytes."""
    return _BYTES_PER_PIXEL * max_megapixels * 10**6


def hash_photo(content: bytes) -> str:
    """Return the digest of a photo's bytes, by which data sets, caches and predictions know it."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _check_regular(state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise PhotoError("a folder without photos, or one that can't be listed")
    if not stat.S_ISREG(state.st_mode):  # reading a pipe could wait for ever
        raise PhotoError("not a file")


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "file not found"
    return (error.strerror or type(error).__name__).lower()
