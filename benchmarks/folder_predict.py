"""A folder of photos: `bearcnn predict`, plain fastai's `load_learner` + `get_preds`, and each half of the work alone.

    python benchmarks/folder_predict.py [--small 1000] [--large 200] [--data SMALL_PHOTOS] [--large-data LARGE_PHOTOS]
        [--body efficientnet_lite0] [--busy 0,1,2] [--without-fastai] [--before OTHER_CHECKOUT]

Each runs in a fresh process, timed from start to end. Decoding alone is bearcnn's decoder (scaled decoding and resizing
to the network's size) with one thread per core: the lower bound for any program that reads these photos. The network
alone answers pictures that are decoded already, one batch again and again. Perfect overlap takes the sum of both times,
because each keeps all cores busy. Memory is that of the largest process; plain fastai has a worker per core beside it.
"""

import sys
import tempfile
from argparse import Namespace
from functools import partial
from pathlib import Path

from cold_predict import FASTAI_MODEL, FRESH_MODEL, add_body, name_body
from load import add_busy, alternate_beside, name_of, print_slowdowns, words_of
from measure import (
    Sample,
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

OURS, FASTAI = "bearcnn predict", "plain fastai get_preds"

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

NETWORK = """
import sys
from itertools import islice
from pathlib import Path
import numpy as np
from bearcnn.data.photos import find_photos, load_pixels
from bearcnn.inference.predictor import BATCH_SIZE, Predictor, predict_rows
folder, model = sys.argv[1:]
predictor = Predictor(model)
photos = list(find_photos(Path(folder)))
size, resize = predictor.manifest.image_size, predictor.manifest.resize
batch = np.stack([load_pixels(photo, size, resize) for photo in photos[:BATCH_SIZE]])
predict_rows(predictor, batch, np.arange(len(photos)) % len(batch))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--small", type=int, default=1000, help="small photos; 0 for none")
    parser.add_argument("--large", type=int, default=200, help="photos of 8 megapixels and more; 0 for none")
    add_body(parser)
    parser.add_argument("--large-data", type=Path, help="folder of them (default: drawn)")
    add_busy(parser)
    parser.add_argument("--without-fastai", action="store_true", help="leave plain fastai out")
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout of another version to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, learner = folder / "fresh.onnx", folder / "learner.pkl"
        drawn = in_own_process(small_photos, folder, options.data)
        time_process([sys.executable, "-c", FRESH_MODEL, str(model), options.body])
        if not options.without_fastai:
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
    photos, model, learner = str(folder / kind), str(folder / "fresh.onnx"), str(folder / "learner.pkl")
    command = [sys.executable, "-m", "bearcnn", "predict", photos, "--model", model, "--format", "csv"]
    size = "128" if options.body == "none" else "224"
    sides = {OURS: partial(time_process, command)}
    if options.before:
        # Without PYTHONSAFEPATH the bearcnn in the current folder would come first.
        before = {"PYTHONPATH": str(options.before.resolve()), "PYTHONSAFEPATH": "1"}
        sides["before"] = partial(time_process, command, **before)
    if not options.without_fastai:
        sides[FASTAI] = partial(time_process, [sys.executable, "-c", FASTAI_FOLDER, learner, photos])
    sides["decoding alone"] = partial(time_process, [sys.executable, "-c", DECODE, photos, str(cores()), size])
    sides["the network alone"] = partial(time_process, [sys.executable, "-c", NETWORK, photos, model])
    found = alternate_beside(sides, options.rounds, options.busy)
    for load, samples in found.items():
        _compare(kind, count, load, samples, options)
    print_slowdowns(found)


def _compare(kind: str, count: int, load: int, samples: dict[str, list[Sample]], options: Namespace) -> None:
    speeds = {side: [count / sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    lines = [
        f"{side:23} {middle(speeds[side], 'photos/s', 1)}, peak {middle(memory[side], 'MB', 0)}" for side in samples
    ]
    if options.before:
        lines.append(f"bearcnn is {ratios(speeds[OURS], speeds['before'], 2)} as fast as before")
    if not options.without_fastai:
        lines.append(f"bearcnn is {ratios(speeds[OURS], speeds[FASTAI])} as fast as plain fastai")
        lines.append(f"plain fastai takes {ratios(memory[FASTAI], memory[OURS])} the memory")
    lines.append(f"bearcnn reaches {share(speeds[OURS], speeds['decoding alone'])} of decoding alone")
    halves = zip(samples["decoding alone"], samples["the network alone"], strict=True)
    both = [count / (decoding.seconds + network.seconds) for decoding, network in halves]
    lines.append(f"bearcnn reaches {share(speeds[OURS], both)} of one after the other")
    name, words = name_body(f"folder_predict-{kind}", options.body)
    out = options.out / f"{name_of(name, load)}.json"
    finish(f"a folder of {count} {kind} photos{words}{words_of(load)}", out, lines, samples)


if __name__ == "__main__":
    main()
