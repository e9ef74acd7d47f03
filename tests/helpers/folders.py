"""Folders of small photos, none like another."""

from pathlib import Path

from PIL import Image

from bearcnn.data.dataset import Dataset


def paint(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (number % 256, number // 256, 99)).save(path, "PNG")
    return path


def fill(root: Path, folders: dict[str, int], start: int = 0) -> Path:
    """So many different photos in each folder."""
    number = start
    for folder, count in folders.items():
        for index in range(count):
            paint(root / folder / f"{index}.png", number)
            number += 1
    return root


def where(dataset: Dataset) -> dict[str, str]:
    return {example.path.relative_to(dataset.root).as_posix(): example.split for example in dataset.examples}
