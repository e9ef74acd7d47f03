"""Draw a badge of the README as SVG, from pyproject.toml where it says what the badge shows.

python scripts/drawings/badge.py python --out badge-python.svg
"""

import argparse
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GREEN, BLUE = "#1a7f4f", "#0072B2"
BADGES = {
    "python": ("Python", PROJECT["requires-python"].removeprefix(">=") + " or newer", BLUE),
    "licence": ("licence", PROJECT["license"], BLUE),
    "predict": ("predict needs", "no torch, no GPU, no network", GREEN),
}


def main() -> None:
    """Draw the badge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=BADGES)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.write_text(draw(*BADGES[options.what]), encoding="utf-8")


def draw(left: str, right: str, color: str) -> str:
    """Draw two words beside each other, the right one on a color; whatever the font, they keep their widths."""
    widths = [round(6.3 * len(text)) + 14 for text in (left, right)]
    whole = sum(widths)
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width - 14}" lengthAdjust="spacingAndGlyphs">{text}</text>'
        for x, width, text in ((7, widths[0], left), (widths[0] + 7, widths[1], right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{left}: {right}">'
        f'<clipPath id="round"><rect width="{whole}" height="20" rx="3"/></clipPath><g clip-path="url(#round)">'
        f'<rect width="{widths[0]}" height="20" fill="#4b5259"/>'
        f'<rect x="{widths[0]}" width="{widths[1]}" height="20" fill="{color}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )


if __name__ == "__main__":
    main()
