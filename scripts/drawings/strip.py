"""Draw photos with the windows that look like a bear, and the answer below each.

python scripts/drawings/strip.py pictures-work/run pictures-work/camera1 --out strip.webp
"""

import argparse
from pathlib import Path

from answered import Answered, answer_all
from camera import is_bear
from PIL import Image, ImageDraw, ImageFont

from bearcnn.inference.overlay import draw_overlay

COLUMNS, GAP, BAR = 4, 16, 72
ORANGE, GREY = (200, 60, 0), (60, 66, 74)


def main() -> None:
    """Draw the strip, with transparent gaps, for light and dark pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    tiles = [draw_tile(each) for each in answer_all(options.run, options.photos)]
    width, height = tiles[0].size
    strip = Image.new("RGBA", (COLUMNS * (width + GAP) - GAP, -(-len(tiles) // COLUMNS) * (height + GAP) - GAP))
    mask = Image.new("L", (2 * width, 2 * height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *mask.size), 36, fill=255)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        strip.paste(tile, (column * (width + GAP), row * (height + GAP)), mask.resize(tile.size))
    strip.save(options.out, quality=82, method=6)


def draw_tile(answered: Answered) -> Image.Image:
    """Draw one photo with its windows and its answer."""
    photo = answered.image.convert("RGBA")
    if answered.scores.max() >= 0.5:  # else no window looks like a bear, and there is nothing to frame
        photo.alpha_composite(draw_overlay(photo.size, answered.scores, answered.windows))
    found = answered.probability >= 0.5
    tile = Image.new("RGB", (photo.width, photo.height + BAR), ORANGE if found else GREY)
    tile.paste(photo.convert("RGB"))
    words = answered.words + ("" if found == is_bear(answered.path) else ": wrong")
    place = (20, photo.height + BAR / 2)
    ImageDraw.Draw(tile).text(place, words, fill="white", font=ImageFont.load_default(38), anchor="lm")
    return tile


if __name__ == "__main__":
    main()
