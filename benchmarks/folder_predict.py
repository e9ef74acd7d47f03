"""A folder of photos: `bearcnn predict`, plain fastai's `load_learner` + `get_preds`, and JPEG decoding alone.

    python benchmarks/folder_predict.py [--small 1000] [--large 200] [--data SMALL_PHOTOS] [--large-data LARGE_PHOTOS]
        [--body efficientnet_lite0]

Each runs in a fresh process, timed from start to end. Decoding alone is bearcnn's decoder (scaled decoding and resizing
to the network's size) with one thread per core: the lower bound for any program that reads these photos. Memory is that
of the largest process; plain fastai has one worker per core beside it.
"""

import sys
import tempfile
from argparse import Namespace
from functools import partial
from pathlib import Path

from cold_predict import FASTAI_MODEL, FRESH_MODEL, add_body, name_body
from measure import (
    Sample,
    alternate,
    arguments,
    cores,
    finish,
    in_own_process,
    middle,
    ratios,
    say,
    share,
    time_process,
)
from pictures import camera_photos, class_folders, multiply, small_photos

FASTAI_FOLDER = """
import bearcnn._torch
import sys, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
if __name__ == "__main__":
    learner = load_learner(sys.argv[1])
    files = get_image_files(sys.argv[2])
    with learner.no_bar():
        print(len(learner.get_preds(dl=learner.dls.test_dl(files, bs=64))[0]))
"""

DECODE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from bearcnn.data.photos import find_photos, load_pixels
folder, threads, size = sys.argv[1:]
with ThreadPoolExecutor(int(threads)) as pool:
    for pixels in pool.map(lambda photo: load_pixels(photo, int(size), "squish"), find_photos(Path(folder))):
        pass
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--small", type=int, default=1000, help="small photos; 0 for none")
    parser.add_argument("--large", type=int, default=200, help="photos of 8 megapixels and more; 0 for none")
    add_body(parser)
    parser.add_argument("--large-data", type=Path, help="folder of them (default: drawn)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, learner = folder / "fresh.onnx", folder / "learner.pkl"
        drawn = in_own_process(small_photos, folder, options.data)
        time_process([sys.executable, "-c", FRESH_MODEL, str(model), options.body])
        two_classes = class_folders(drawn, folder / "classes", 8, 8)
        time_process([sys.executable, "-c", FASTAI_MODEL, str(two_classes), str(learner), options.body])
        if options.small:
            multiply(drawn, options.small, folder / "small")
            _measure("small", options.small, folder, options)
        if options.large:
            large = in_own_process(camera_photos, folder, options.large_data)
            in_own_process(multiply, large, options.large, folder / "large")
            _measure("large", options.large, folder, options)


def _measure(kind: str, count: int, folder: Path, options: Namespace) -> None:
    say(f"{count} {kind} photos")
    photos, model, learner = folder / kind, folder / "fresh.onnx", folder / "learner.pkl"
    command = [sys.executable, "-m", "bearcnn", "predict", str(photos), "--model", str(model), "--format", "csv"]
    size = "128" if options.body == "none" else "224"
    samples: dict[str, list[Sample]] = alternate(
        {
            "bearcnn predict": partial(time_process, command),
            "plain fastai get_preds": partial(
                time_process, [sys.executable, "-c", FASTAI_FOLDER, str(learner), str(photos)]
            ),
            "decoding alone": partial(time_process, [sys.executable, "-c", DECODE, str(photos), str(cores()), size]),
        },
        options.rounds,
    )
    speeds = {side: [count / sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    ours, theirs, ceiling = samples
    lines = [
        f"{side:23} {middle(speeds[side], 'photos/s', 1)}, peak {middle(memory[side], 'MB', 0)}" for side in samples
    ]
    lines.append(f"bearcnn is {ratios(speeds[ours], speeds[theirs])} as fast as plain fastai")
    lines.append(f"bearcnn reaches {share(speeds[ours], speeds[ceiling])} of decoding alone")
    lines.append(f"plain fastai takes {ratios(memory[theirs], memory[ours])} the memory")
    name, words = name_body(f"folder_predict-{kind}", options.body)
    finish(f"a folder of {count} {kind} photos{words}", options.out / f"{name}.json", lines, samples)


if __name__ == "__main__":
    main()
