"""Landscapes around the animals: season, light, trees, bushes, grass, rocks."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bearcnn.data.synthetic.painting import Color, Floats32, Part, make_part, to_bytes

SEASONS: dict[str, dict[str, tuple[Color, ...]]] = {
    "summer": {
        "sky": ((92, 146, 208), (188, 214, 234)),
        "far": ((112, 138, 146), (86, 116, 98)),
        "ground": ((122, 142, 78), (92, 116, 56)),
        "leaves": ((48, 82, 46), (66, 104, 50), (86, 112, 52), (38, 66, 44)),
    },
    "autumn": {
        "sky": ((128, 158, 190), (220, 218, 206)),
        "far": ((138, 128, 120), (120, 104, 76)),
        "ground": ((158, 130, 80), (122, 92, 54)),
        "leaves": ((170, 104, 40), (138, 78, 40), (188, 146, 60), (60, 76, 46), (104, 72, 46)),
    },
    "winter": {
        "sky": ((150, 172, 198), (220, 226, 232)),
        "far": ((176, 190, 204), (128, 146, 156)),
        "ground": ((226, 232, 238), (206, 214, 224)),
        "leaves": ((52, 72, 64), (66, 84, 76), (196, 206, 214), (92, 88, 84)),
    },
    "barren": {
        "sky": ((140, 168, 192), (214, 214, 206)),
        "far": ((130, 132, 140), (112, 108, 104)),
        "ground": ((150, 140, 120), (116, 108, 94)),
        "leaves": ((94, 98, 66), (112, 104, 72), (76, 78, 58), (130, 116, 84)),
    },
}
SEASON_ODDS = {  # by coat, not by species: polar bears and snow hares live in the same snow
    "brown": (0.40, 0.25, 0.15, 0.20),
    "black": (0.40, 0.25, 0.15, 0.20),
    "pale": (0.12, 0.13, 0.55, 0.20),
}
LIGHTS = ("day", "overcast", "dusk", "infrared", "fog")
LIGHT_ODDS = (0.7, 0.15, 0.07, 0.04, 0.04)


def vary_color(color: Color, rng: np.random.Generator, spread: float = 0.12) -> Color:
    """Return a colour like this one, a little brighter or darker and a little off in hue."""
    red, green, blue = (
        (np.array(color) * rng.normal(1.0, spread) * rng.normal(1.0, spread / 4, 3)).clip(0, 255).astype(int).tolist()
    )
    return red, green, blue


def draw_backdrop(side: int, horizon: int, season: str, light: str, rng: np.random.Generator) -> Image.Image:
    """Draw sky, far ridges, ground and sometimes water."""
    tints = SEASONS[season]
    sky = [vary_color(color, rng) for color in tints["sky"]]
    if light == "dusk":
        sky = [vary_color((104, 110, 158), rng), vary_color((250, 200, 140), rng)]
    ground = [vary_color(color, rng) for color in tints["ground"]]
    column = np.concatenate(
        [
            np.linspace(sky[0], sky[1], horizon, dtype=np.float32),
            np.linspace(ground[0], ground[1], side - horizon, dtype=np.float32),
        ]
    )
    pixels = np.repeat(column[:, None, :], side, axis=1)
    for cells, strength in ((5, 14.0), (24, 10.0)):  # clouds and patches of ground
        blobs = Image.fromarray(rng.normal(0.0, strength, (cells * 2, cells)).astype(np.float32))
        pixels += np.asarray(blobs.resize((side, side), Image.Resampling.BICUBIC))[:, :, None]
    pixels[horizon:] += rng.normal(0.0, 5.0, (side - horizon, side, 1)).astype(np.float32)
    canvas = Image.fromarray(to_bytes(pixels))
    draw = ImageDraw.Draw(canvas)
    across = np.linspace(0, side, 33)
    for depth, color in enumerate(tints["far"]):
        waves = rng.uniform(0, 6.3, 3)
        crest = sum(
            np.sin(across / side * turns + phase) / turns for turns, phase in zip((5, 11, 29), waves, strict=True)
        )
        tops = horizon - side * (0.10 - 0.05 * depth) * (0.6 + 2.0 * crest).clip(0.1)
        tops[::2] -= side * 0.03 * depth * rng.random(17)  # the nearer ridge is a tree line
        outline = [(0, horizon + 1), *zip(across.tolist(), tops.tolist(), strict=True), (side, horizon + 1)]
        draw.polygon(outline, fill=vary_color(color, rng, 0.06))
    if rng.random() < 0.25:
        top = horizon + int((side - horizon) * rng.uniform(0.0, 0.3))
        bottom = top + int((side - horizon) * rng.uniform(0.15, 0.35))
        water = vary_color((120, 150, 176), rng)
        draw.polygon(
            [
                (0, top),
                (side, top + int(rng.integers(-6, 7))),
                (side, bottom),
                (side // 2, bottom + int(rng.integers(-8, 9))),
                (0, bottom),
            ],
            fill=water,
        )
        for y in rng.integers(top, bottom, 14).tolist():
            x = int(rng.integers(-side // 8, side))
            draw.line(
                (x, y, x + int(rng.integers(side // 16, side // 4)), y), fill=vary_color(water, rng, 0.08), width=1
            )
    return canvas


def _conifer(
    draw: ImageDraw.ImageDraw, x: float, y: float, tall: float, color: Color, snowy: bool, rng: np.random.Generator
) -> None:
    wide = tall * float(rng.uniform(0.18, 0.26))
    draw.rectangle((x - tall * 0.025, y - tall * 0.15, x + tall * 0.025, y), fill=(70, 52, 40))
    dark = (int(color[0] * 0.7), int(color[1] * 0.7), int(color[2] * 0.72))
    tiers = 4
    for tier in range(tiers):
        low = y - tall * (0.10 + 0.22 * tier)
        peak = low - tall * 0.34
        half = wide * (1 - 0.2 * tier)
        draw.polygon([(x - half, low), (x, peak), (x + half, low), (x, low + tall * 0.03)], fill=color)
        draw.polygon(
            [(x - half, low), (x - half * 0.1, peak + tall * 0.1), (x - half * 0.1, low + tall * 0.03)], fill=dark
        )
        if snowy:
            draw.polygon([(x + half * 0.9, low), (x, peak), (x + half * 0.25, low - tall * 0.08)], fill=(226, 232, 238))


def _trunk(draw: ImageDraw.ImageDraw, x: float, y: float, wide: float, rng: np.random.Generator) -> None:
    """Draw a tree whose crown is out of the picture."""
    bark = vary_color(((96, 76, 60), (112, 104, 98), (206, 204, 196))[rng.integers(3)], rng)
    lean = float(rng.normal(0.0, 0.04)) * y
    for share, tone in ((1.0, 0.72), (0.6, 1.0), (0.2, 1.14)):
        fill = (min(int(bark[0] * tone), 255), min(int(bark[1] * tone), 255), min(int(bark[2] * tone), 255))
        right = x - wide / 2 + wide * share
        draw.polygon(
            [(x - wide * 0.6, y), (x + lean - wide / 2, -2), (right + lean, -2), (right + wide * 0.1 * share, y)],
            fill=fill,
        )
    for _ in range(6):
        knot, start = float(rng.uniform(0, y)), x + lean * 0.5 + float(rng.uniform(-0.4, 0.1)) * wide
        draw.line((start, knot, start + wide * 0.35, knot + 1), fill=(58, 48, 42), width=max(int(wide * 0.08), 1))


def _crown(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    tall: float,
    color: Color,
    rng: np.random.Generator,
    stem: float = 0.45,
) -> None:
    """Draw a leafy tree, or a bush where the stem is 0."""
    if stem:
        draw.line((x, y, x, y - tall * 0.6), fill=(84, 64, 48), width=max(int(tall * 0.06), 1))
    blob = tall * (1 - stem) * 0.36
    for tone in (0.75, 0.75, 0.9, 0.9, 1.0, 1.0, 1.15):
        cx = x + float(rng.uniform(-1.0, 1.0)) * blob * 1.2
        cy = y - tall * stem - blob * float(rng.uniform(0.6, 1.1)) - (tone - 0.75) * blob * 2.2
        r = blob * float(rng.uniform(0.6, 0.95))
        fill = (min(int(color[0] * tone), 255), min(int(color[1] * tone), 255), min(int(color[2] * tone), 255))
        draw.ellipse((cx - r, cy - r * 0.85, cx + r, cy + r * 0.85), fill=fill)


def _tuft(draw: ImageDraw.ImageDraw, x: float, y: float, tall: float, color: Color, rng: np.random.Generator) -> None:
    for tip in rng.uniform(-0.6, 0.6, 5).tolist():
        draw.line(
            (x + tip * tall * 0.3, y, x + tip * tall, y - tall * (1.1 - abs(tip))),
            fill=color,
            width=max(int(tall * 0.09), 1),
        )


def make_rock(rng: np.random.Generator) -> list[Part]:
    """Build a boulder, a stump, a log or a mound, which look like a bear at first glance."""
    kind = rng.integers(4)
    if kind == 0:
        lean = float(rng.uniform(-0.15, 0.15))
        top = (lean, -float(rng.uniform(0.5, 1.3)), 0.24)
        return [
            make_part((-0.3, -0.08, 0.1), (0.3, -0.08, 0.1), tone=0.7, relief=0.4),
            make_part((0, -0.25, 0.3), top),
            make_part((*top[:2], 0.17), tone=1.2, relief=0.9),
        ]
    if kind == 1:
        thick = float(rng.uniform(0.12, 0.25))
        return [
            make_part((0, -thick, thick), (1.2, -thick, thick * 0.8)),
            make_part((0, -thick, thick * 0.7), tone=1.2, relief=0.9),
            make_part((0.5, -thick, 0.06), (0.7, -thick * 2.6, 0.04), tone=0.8),
        ]
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        r0, r1 = rng.uniform(0.14, 0.4, 2).tolist()
        x = float(rng.uniform(0, 0.8))
        tone, relief = float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.3, 1.0))
        parts.append(
            make_part(
                (x, -r0 * 0.9, r0),
                (x + float(rng.uniform(-0.3, 0.5)), -r1 * float(rng.uniform(0.9, 1.8)), r1),
                tone=tone,
                relief=relief,
            )
        )
    return parts


def grade_light(pixels: Floats32, light: str, season: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply the light and the weather of the day over (side, side, 3) pixels, and what a camera adds."""
    side = len(pixels)
    row = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    if light in ("overcast", "infrared"):
        grey = pixels @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
        share = 1.0 if light == "infrared" else 0.5
        pixels = pixels * (1 - share) + share * grey[:, :, None]
    if light == "dusk":
        pixels = pixels * np.array([0.88, 0.76, 0.70], dtype=np.float32) + np.array([10, 4, 14], dtype=np.float32)
    elif light == "infrared":
        reach = np.hypot(row[:, :, 0] - 0.55, row[:, 0, 0][None] - 0.5)
        pixels = (pixels - 100) * 1.25 * (1.1 - 0.5 * reach[:, :, None]) + 105
    elif light == "fog":
        veil = float(rng.uniform(0.3, 0.6)) * (1.0 - 0.6 * row)
        pixels = pixels * (1 - veil) + veil * np.array([204, 208, 212], dtype=np.float32)
    contrast, brightness = float(rng.uniform(0.88, 1.12)), float(rng.uniform(-12, 12))
    noise = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[:, :, None] * (3.5 if light == "infrared" else 2.5)
    return to_bytes((pixels - 110) * contrast + 110 + brightness + noise)


def scatter_plants(canvas: Image.Image, horizon: int, season: str, clutter: float, rng: np.random.Generator) -> None:
    """Draw trees, bushes and grass on the ground, the farther ones first."""
    side = canvas.width
    draw = ImageDraw.Draw(canvas)
    leaves = SEASONS[season]["leaves"]
    count = 2 + int(rng.poisson(clutter * 16))
    for depth in np.sort(rng.random(count) ** 2).tolist():
        x, y = float(rng.uniform(0, side)), horizon + (side - horizon) * depth * 0.7
        tall = side * (0.14 + 0.5 * depth) * float(rng.uniform(0.7, 1.3))
        color = vary_color(leaves[rng.integers(len(leaves))], rng)
        kind = rng.random()
        if season == "barren" or kind < 0.3:
            _crown(draw, x, y, tall * 0.35, color, rng, stem=0.0)
        elif kind < 0.65:
            _conifer(draw, x, y, tall, color, season == "winter", rng)
        elif kind < 0.85:
            _crown(draw, x, y, tall, color, rng)
        else:
            _trunk(draw, x, y, tall * 0.09, rng)
    for depth in np.sort(rng.random(30)).tolist():
        y = horizon + (side - horizon) * depth
        color = vary_color(SEASONS[season]["ground"][1], rng, 0.15)
        _tuft(draw, float(rng.uniform(0, side)), y, side * (0.01 + 0.035 * depth), color, rng)


def grow_foreground(
    canvas: Image.Image, spot: tuple[float, float], reach: float, season: str, clutter: float, rng: np.random.Generator
) -> None:
    """Draw plants that stand nearer than the animal and hide some of it, and falling snow."""
    side = canvas.width
    draw = ImageDraw.Draw(canvas)
    leaves = SEASONS[season]["leaves"]
    if rng.random() < 0.4 * clutter:
        _trunk(
            draw,
            spot[0] + float(rng.uniform(-0.5, 0.5)) * reach,
            spot[1] + 0.08 * reach,
            reach * float(rng.uniform(0.08, 0.16)),
            rng,
        )
    for _ in range(int(rng.poisson(clutter * 5))):
        x, y = spot[0] + float(rng.uniform(-0.8, 0.8)) * reach, spot[1] + float(rng.uniform(0.02, 0.15)) * reach
        color = vary_color(leaves[rng.integers(len(leaves))], rng)
        if rng.random() < 0.5:
            _crown(draw, x, y, reach * float(rng.uniform(0.15, 0.3)), color, rng, stem=0.0)
        else:
            _tuft(draw, x, y, reach * float(rng.uniform(0.12, 0.25)), color, rng)
    for x in np.arange(0, side, side / 24).tolist():
        _tuft(
            draw,
            x + float(rng.uniform(0, 8)),
            side,
            side * float(rng.uniform(0.02, 0.06)),
            vary_color(SEASONS[season]["ground"][1], rng, 0.2),
            rng,
        )
    if season == "winter" and rng.random() < 0.4:
        for x, y, r in (rng.random((60, 3)) * (side, side, side * 0.008) + (0, 0, side * 0.003)).tolist():
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 243, 248))
