"""The model's page in headless Chromium: its size, the time to its first answer, and to each further one.

    python benchmarks/html_model.py [--model RUN_OR_ONNX] [--body efficientnet_lite0] [--data PHOTOS]
        [--runtime DIR] [--photos 20]

The other side is `bearcnn predict` in a fresh process, with the same model and the same first photo. Each round opens a
fresh browser, whose own start isn't counted: the page is loaded from its file, unpacked and compiled. Before the time
is taken the first photo is chosen already, so that it is answered as soon as the network is ready.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cold_predict import FRESH_MODEL, add_body, name_body
from measure import Sample, alternate, arguments, finish, in_own_process, middle, ratios, time_process

ANSWERED = "#photos li:nth-child(%d) .answer strong"


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=7)
    parser.add_argument("--model", help="run or .onnx file (default: a fresh network of the default configuration)")
    parser.add_argument("--runtime", type=Path, help="folder of onnxruntime-web (default: the cache, or npm)")
    parser.add_argument("--photos", type=int, default=20, help="number of photos in a round")
    add_body(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = _find_photos(folder, options.data, options.photos)
        model, page = options.model or str(folder / "fresh.onnx"), folder / "bear.html"
        if options.model is None:
            subprocess.run([sys.executable, "-c", FRESH_MODEL, model, options.body], check=True)
        sizes = in_own_process(write_page, model, page, options.runtime)
        samples = alternate(
            {
                "page": lambda: _open(page, photos),
                "bearcnn predict": lambda: time_process(
                    [sys.executable, "-m", "bearcnn", "predict", str(photos[0]), "--model", model]
                ),
            },
            options.rounds,
        )
    _show(options, samples, sizes, len(photos))


def write_page(model: str, page: Path, runtime: Path | None) -> dict[str, int]:
    """Write the page of a model, and return the bytes of both."""
    from bearcnn.export.html import to_html
    from bearcnn.export.web_runtime import find_runtime
    from bearcnn.inference.paths import find_model

    content = find_model(Path(model)).read_bytes()
    page.write_bytes(to_html(content, find_runtime(runtime)))
    return {"page": page.stat().st_size, "model": len(content)}


def _open(page: Path, photos: list[Path]) -> Sample:
    """Open the page in a fresh browser, and time its answers; the browser's own start isn't counted."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(offline=True)
        start = time.perf_counter()
        opened.goto(page.as_uri(), wait_until="commit")
        opened.wait_for_selector("#tool:not([hidden])", state="attached")
        opened.set_input_files("#files", [str(photos[0])])
        opened.wait_for_selector(ANSWERED % 1, state="attached")
        first = time.perf_counter() - start
        opened.wait_for_selector("html[data-checked]", state="attached")
        good = opened.evaluate("document.documentElement.dataset.checked") == "good"
        opened.set_input_files("#files", [str(photo) for photo in photos])
        opened.wait_for_selector(ANSWERED % (1 + len(photos)), state="attached", timeout=600_000)
        each = opened.evaluate("performance.getEntriesByName('answer').slice(1).map(entry => entry.duration)")
        ready = opened.evaluate("performance.getEntriesByName('ready')[0].startTime")
        version = browser.version
        browser.close()
    if not good:
        raise RuntimeError("the page's own check failed")
    return Sample(first, values={"ready_ms": ready, "photo_ms": each, "chromium": version})


def _find_photos(folder: Path, data: Path | None, count: int) -> list[Path]:
    from bearcnn.data.photos import find_photos
    from bearcnn.data.synthetic.scenes import write_scenes

    if data is None:
        data = folder / "scenes"
        write_scenes(data, count=40, size=512, seed=0)
    found = list(find_photos(data))
    return found[:: max(1, len(found) // count)][:count]


def _show(options: argparse.Namespace, samples: dict[str, list[Sample]], sizes: dict[str, int], photos: int) -> None:
    page, predict = samples["page"], samples["bearcnn predict"]
    each = [duration for sample in page for duration in sample.values["photo_ms"]]
    name, words = name_body("html_model", options.body)
    lines = [
        f"the page has {sizes['page'] / 1e6:.1f} MB, of which the model of {sizes['model'] / 1e6:.1f} MB is a part",
        f"from opening to the first answer {middle([sample.seconds for sample in page], 's')}",
        f"of it, until the network is ready {middle([sample.values['ready_ms'] / 1000 for sample in page], 's')}",
        f"each further of {photos} photos   {middle(each, 'ms', 1)}",
        f"a cold `bearcnn predict`         {middle([sample.seconds for sample in predict], 's')}",
        f"the page takes {ratios([s.seconds for s in page], [s.seconds for s in predict])} its time",
        f"Chromium {page[0].values['chromium']}, headless, one thread",
    ]
    finish(f"the model in a page{words}", options.out / f"{name}.json", lines, samples, sizes=sizes)


if __name__ == "__main__":
    main()
