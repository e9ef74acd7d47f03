"""Draw the eight photos that the pictures of README and docs show, as a camera would store them.

    python scripts/drawings/camera.py pictures-work/camera1

They are the first eight scenes of a seed, none of them chosen; the network of the demo is trained on those of seed 0.
"""

import sys
from pathlib import Path

from bearcnn.data.synthetic.scene import draw_scene

SEED, COUNT, SIDE = 7, 8, 400


def main() -> None:
    """Draw the photos, bears and others alternating."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for number in range(COUNT):
        scene = draw_scene(SEED, number, size=SIDE, is_bear=number % 2 == 0)
        scene.image.save(folder / f"IMG_{number + 1:04}.jpg", quality=92)


def is_bear(photo: Path) -> bool:
    """Return whether one of these photos shows a bear."""
    return int(photo.stem[-4:]) % 2 == 1


if __name__ == "__main__":
    main()
