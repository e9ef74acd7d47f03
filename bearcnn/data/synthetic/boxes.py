"""The bears' boxes in drawn scenes, read from scenes.jsonl."""

import json
from pathlib import Path

from PIL import Image

from bearcnn.errors import DataError

INDEX = "scenes.jsonl"
"""The name of the list in a folder of drawn scenes."""

Box = tuple[float, float, float, float]


def read_boxes(root: Path) -> dict[Path, Box]:
    """Read each bear's left, top, right and bottom as shares of the picture's sides; empty for other photos.

    Raises:
        DataError: the list of the scenes is damaged.
    """
    index = root / INDEX
    if not index.is_file():
        return {}
    try:
        scenes = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
        bears = {root / scene["path"]: scene["box"] for scene in scenes if scene["is_bear"] and scene["box"]}
        if not bears:
            return {}
        with Image.open(next(iter(bears))) as image:  # all are squares of one size
            side = image.width
        return {path: (box[0] / side, box[1] / side, box[2] / side, box[3] / side) for path, box in bears.items()}
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        ZeroDivisionError,
    ) as error:
        raise DataError(f"{index} can't be used: {error}; draw the scenes again with `bearcnn data synth`") from None
