"""Take a picture of a page in headless Chromium: the first screen, or the whole page.

    python scripts/screenshot.py runs/latest/report.html --out report.png
    python scripts/screenshot.py page.html --out page.png --width 390 --whole

Needs `pip install "bearcnn[browser]"` and a Chromium on this machine.
"""

import argparse
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="an HTML file")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in CSS pixels")
    parser.add_argument("--height", type=int, default=820, help="of the window, in CSS pixels")
    parser.add_argument("--whole", action="store_true", help="the whole page, however long")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit(f"no Chromium here ({', '.join(NAMES)}): install one, and run this again")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height}, color_scheme="light", reduced_motion="reduce"
        )
        page.goto(options.page.resolve().as_uri())
        page.wait_for_load_state("networkidle")
        page.screenshot(path=options.out, full_page=options.whole)
        browser.close()


if __name__ == "__main__":
    main()
