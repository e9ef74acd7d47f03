"""Atomic writes: a file is whole or absent, and a crash or a full disk leaves the old file as it was."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from bearcnn.errors import BearcnnError


def write_atomically(path: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a whole file or nothing.

    The file is written under a temporary name in the same folder, flushed to the disk, then renamed.

    Raises:
        BearcnnError: the file exists and `overwrite` is false, or the folder can't be written to.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        _write_temporary(temporary, content)
        if overwrite:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except FileExistsError:
        raise BearcnnError(f"{path} exists already; choose another name or move it away") from None
    except OSError as error:
        raise BearcnnError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_folder_atomically(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder with all its files, or nothing.

    Raises:
        BearcnnError: there is something of that name already, or the folder can't be written to.
    """
    temporary = folder.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        temporary.mkdir()
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(temporary / name, content)
        if folder.exists() or folder.is_symlink():
            raise BearcnnError(f"{folder} exists already; choose another name or move it away")
        temporary.rename(folder)
    except OSError as error:
        raise BearcnnError(f"{folder} can't be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file with its times to a new name, whole or not at all; raises OSError, also where the name is taken."""
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        shutil.copy2(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        _rename_to_new(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _write_temporary(temporary: Path, content: bytes) -> None:
    """Write a file and flush it to the disk.

    On Linux it has no name until it is whole: a kill while it is written leaves nothing behind.
    """
    # Not tempfile: only the owner can read its files, even after the renaming.
    with contextlib.suppress(AttributeError, OSError):  # another system, or a file system that can't
        _write_whole(os.open(temporary.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), content, temporary)
        return
    _write_whole(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), content)


def _write_whole(descriptor: int, content: bytes, name: Path | None = None) -> None:
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        if name is not None:
            folder = os.open("/proc/self/fd", os.O_RDONLY)
            try:
                os.link(str(descriptor), name, src_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Rename a file, but never over another one, not even one that appears at this moment.

    With a hard link the file is whole at once; the link takes 19 us. Most memory cards (FAT, exFAT) have no links:
    there an empty file holds the name for 33 us until the renaming.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.touch(exist_ok=False)
        temporary.replace(path)
