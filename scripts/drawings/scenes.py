"""Draw scenes of the built-in data set: one of each animal, or one bear in other sizes and amounts of clutter.

python scripts/drawings/scenes.py animals --out animals.webp
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bearcnn.data.synthetic.scene import SUBCLASSES, Scene, draw_scene

SIDE, GAP, BAR = 240, 12, 34
SCALES, CLUTTERS = (0.6, 0.3, 0.12), (0.0, 0.25, 0.6, 1.0)
MOST = 1000  # scenes to look through


def main() -> None:
    """Draw the scenes, with transparent gaps, for light and dark pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=DRAWINGS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    tiles, columns = DRAWINGS[options.what]()
    width, height = tiles[0].size
    page = Image.new("RGBA", (columns * (width + GAP) - GAP, -(-len(tiles) // columns) * (height + GAP) - GAP))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        page.paste(tile, (column * (width + GAP), row * (height + GAP)))
    page.save(options.out, quality=82, method=6)


def draw_animals() -> tuple[list[Image.Image], int]:
    """Draw the first scene with each animal."""
    return [_draw_tile(_find(subclass), subclass) for subclass in SUBCLASSES], 5


def draw_difficulty() -> tuple[list[Image.Image], int]:
    """Draw one bear in three sizes, from no clutter to the most."""
    tiles = [
        _draw_tile(
            draw_scene(4, 10, size=SIDE, is_bear=True, bear_scale=scale, clutter=clutter),
            f"size {scale:g}, clutter {clutter:g}",
        )
        for scale in SCALES
        for clutter in CLUTTERS
    ]
    return tiles, len(CLUTTERS)


def _find(subclass: str) -> Scene:
    for number in range(MOST):
        if draw_scene(3, number, size=16, is_bear=number % 2 == 0).subclass == subclass:
            return draw_scene(3, number, size=SIDE, is_bear=number % 2 == 0)
    raise SystemExit(f"no {subclass} among {MOST} scenes")


def _draw_tile(scene: Scene, words: str) -> Image.Image:
    tile = Image.new("RGB", (SIDE, SIDE + BAR), (60, 66, 74))
    tile.paste(scene.image)
    font = ImageFont.load_default(20)
    ImageDraw.Draw(tile).text((SIDE / 2, SIDE + BAR / 2), words, fill="white", font=font, anchor="mm")
    return tile


DRAWINGS = {"animals": draw_animals, "difficulty": draw_difficulty}

if __name__ == "__main__":
    main()
