"""Draw a thumbnail of the README: learn, use or trust.

python scripts/drawings/thumbnail.py learn pictures-work/run pictures-work/camera1 --out learn.webp
"""

import argparse
from pathlib import Path

import numpy as np
from answered import answer_all
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bearcnn.data.photos import load_pixels
from bearcnn.evaluation.formats import percent
from bearcnn.explain.activations import Subject, find_maps
from bearcnn.inference.overlay import draw_windows
from bearcnn.model.load import find_weights, load_model
from bearcnn.runs import open_run

WIDTH, HEIGHT, GAP = 540, 360, 12  # three times as large as it is shown
ORANGE, GREEN, INK, LINE = (200, 60, 0), (0, 88, 60), (27, 36, 44), (205, 209, 214)


def main() -> None:
    """Draw the thumbnail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=DRAWINGS)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    drawn = DRAWINGS[options.what](options.run, options.photos)
    drawn.save(options.out, quality=85, method=6)


def draw_learn(run: Path, photos: Path) -> Image.Image:
    """Draw the first photo, and the five maps of the first block that vary most in it."""
    photo = min(photos.glob("*.jpg"))
    trained = load_model(find_weights(run))
    pixels = load_pixels(photo, trained.manifest.image_size, trained.manifest.resize)
    maps = find_maps(Subject(trained.network, trained.manifest, trained.config.model, pixels, photo.name))[0].maps
    strongest = np.argsort(-maps.std((1, 2)), kind="stable")[:5]
    page, edge = Image.new("RGB", (WIDTH, HEIGHT), "white"), (WIDTH - 2 * GAP) // 3
    tiles = [Image.open(photo), *(_paint_map(maps[channel]) for channel in strongest)]
    for number, tile in enumerate(tiles):
        row, column = divmod(number, 3)
        method = Image.Resampling.NEAREST if number else Image.Resampling.BICUBIC
        page.paste(tile.resize((edge, edge), method), (column * (edge + GAP), row * (edge + GAP)))
    return page


def _paint_map(values: NDArray[np.float32]) -> Image.Image:
    """Paint a map from white to dark blue."""
    shares = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    painted = np.array([8, 48, 107]) * shares[..., None] + 255 * (1 - shares[..., None])
    return Image.fromarray(painted.round().astype(np.uint8))


def draw_use(run: Path, photos: Path) -> Image.Image:
    """Draw the heat map of the surest photo with its answer, and beside it two photos without a bear."""
    answered = sorted(answer_all(run, photos), key=lambda each: -each.probability)
    page, best = Image.new("RGB", (WIDTH, HEIGHT), "white"), answered[0]
    draw = ImageDraw.Draw(page)
    drawn = draw_windows(np.asarray(best.image.resize((HEIGHT, HEIGHT))), best.scores, best.windows)
    page.paste(drawn.crop((0, 54, HEIGHT, HEIGHT)))  # the sky has to make room for the answer
    draw.rectangle((0, HEIGHT - 54, HEIGHT - 1, HEIGHT), fill=ORANGE)
    draw.text((14, HEIGHT - 27), best.words, fill="white", font=ImageFont.load_default(32), anchor="lm")
    edge = (HEIGHT - GAP) // 2
    for row, each in enumerate(answered[-2:]):
        page.paste(each.image.resize((edge, edge)), (HEIGHT + GAP, row * (edge + GAP)))
    return page


def draw_trust(run: Path, photos: Path) -> Image.Image:
    """Draw recall and false alarms of the run's test photos, each with its 95% interval."""
    estimates = open_run(run).metrics()["evaluations"]["test"]["estimates"]
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, large, small = ImageDraw.Draw(page), ImageFont.load_default(66), ImageFont.load_default(30)
    rows = (("of bears found", "recall", GREEN), ("false alarms", "false_positive_rate", ORANGE))
    for top, (words, name, color) in zip((6, 190), rows, strict=True):
        low, value, high = (estimates[name][key] for key in ("low", "value", "high"))
        draw.text((24, top), percent(value), fill=color, font=large)
        draw.text((220, top + 6), words, fill=INK, font=small)
        draw.text((220, top + 42), f"{percent(low)} to {percent(high)}", fill=INK, font=small)
        y, (start, dot, end) = top + 122, (24 + (WIDTH - 48) * share for share in (low, value, high))
        draw.line((24, y, WIDTH - 24, y), fill=LINE, width=8)
        draw.line((start, y, end, y), fill=color, width=14)
        draw.ellipse((dot - 14, y - 14, dot + 14, y + 14), fill=color)
    return page


DRAWINGS = {"learn": draw_learn, "use": draw_use, "trust": draw_trust}

if __name__ == "__main__":
    main()
