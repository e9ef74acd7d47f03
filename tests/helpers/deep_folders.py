"""Folders nested deeper than Python recurses, which `shutil.rmtree` couldn't remove either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nest_folders(root: Path, depth: int) -> Iterator[Path]:
    """Folders called d in each other, below `root`; the innermost one, whose path the system may find too long."""
    before = Path.cwd()
    os.chdir(root)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        os.chdir(before)
        yield root.joinpath(*["d"] * depth)
    finally:
        os.chdir(root)
        made = 0
        while Path("d").is_dir():
            os.chdir("d")
            made += 1
        for _ in range(made):
            for file in Path().iterdir():
                if not file.is_dir():
                    file.unlink()
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(before)
