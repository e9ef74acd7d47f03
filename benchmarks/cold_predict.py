"""One photo in a fresh process: `bearcnn predict` beside plain fastai's `load_learner` + `predict`; and `--help`.

    python benchmarks/cold_predict.py [--model RUN_OR_ONNX] [--body efficientnet_lite0] [--data PHOTOS]
        [--busy 0,1,2] [--before CHECKOUT]

The fastai side has the same network, made by fastai's own means and exported by `Learner.export`; with `--body`, its
`vision_learner` has EfficientNet-Lite0 at 224 px. The first photo of `--data` is predicted. With `--before`, another
checkout of bearcnn is the other side, and the check of the model file is timed alone.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from load import add_busy, alternate_beside, name_of, print_slowdowns, words_of
from measure import Sample, alternate, arguments, finish, middle, ratios, time_process

# A network's speed doesn't depend on its training.
FRESH_MODEL = """
import sys
from pathlib import Path
from bearcnn.manifest import Manifest
from bearcnn.config import load_config
from bearcnn.export.onnx import to_onnx
from bearcnn.model.network import build_model
config = load_config(None, [f"model.body={sys.argv[2]}"])
manifest = Manifest(name="fresh", classes=("no", "bear"), image_size=config.data.image_size, resize=config.data.resize)
Path(sys.argv[1]).write_bytes(to_onnx(build_model(config.model).eval(), manifest))
"""

FASTAI_MODEL = """
import bearcnn._torch
import sys, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
folder, out, body = sys.argv[1:]
resize = Resize(128 if body == "none" else 224, ResizeMethod.Squish)
loaders = ImageDataLoaders.from_folder(folder, valid_pct=0.5, item_tfms=resize, bs=2, num_workers=0)
widths = [3, 32, 64, 128, 256]
blocks = [ConvLayer(a, b, stride=2) for a, b in zip(widths, widths[1:])]
network = nn.Sequential(*blocks, AdaptiveConcatPool2d(1), Flatten(), nn.Linear(512, 2))
learner = Learner(loaders, network, loss_func=CrossEntropyLossFlat())
if body != "none":
    learner = vision_learner(loaders, f"tf_{body}", pretrained=False)
learner.export(out)
"""

FASTAI_PREDICT = """
import bearcnn._torch
import sys, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
print(load_learner(sys.argv[1]).predict(sys.argv[2]))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=7)
    parser.add_argument("--model", help="run or .onnx file (default: a fresh network of the default configuration)")
    parser.add_argument("--before", type=Path, help="folder of another checkout of bearcnn")
    add_body(parser)
    add_busy(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = _photos(folder, options.data)
        # Both in their own processes: the memory of this process would count as that of its children.
        model, learner = options.model or str(folder / "fresh.onnx"), folder / "learner.pkl"
        if options.model is None:
            subprocess.run([sys.executable, "-c", FRESH_MODEL, model, options.body], check=True)
        if options.before:
            _compare_versions(options, model, str(photos[0]))
            return
        classes = str(photos[0].parents[1])
        subprocess.run([sys.executable, "-c", FASTAI_MODEL, classes, str(learner), options.body], check=True)

        def bearcnn(*command: str) -> Sample:
            return time_process([sys.executable, "-m", "bearcnn", *command])

        found = alternate_beside(
            {
                "bearcnn predict": lambda: bearcnn("predict", str(photos[0]), "--model", model),
                "fastai load_learner + predict": lambda: time_process(
                    [sys.executable, "-c", FASTAI_PREDICT, str(learner), str(photos[0])]
                ),
                "bearcnn --help": lambda: bearcnn("--help"),
            },
            options.rounds,
            options.busy,
        )
    for load, samples in found.items():
        _compare(load, samples, options)
    print_slowdowns(found)


def _compare_versions(options: argparse.Namespace, model: str, photo: str) -> None:
    here = Path(__file__).resolve().parents[1]

    def predict(place: Path) -> Sample:
        command = [sys.executable, "-m", "bearcnn", "predict", photo, "--model", model]
        return time_process(command, PYTHONPATH=str(place.resolve()))

    samples = alternate({"before": lambda: predict(options.before), "now": lambda: predict(here)}, options.rounds)
    seconds, processor, memory = (
        {side: [getattr(sample, name) for sample in found] for side, found in samples.items()}
        for name in ("seconds", "processor_seconds", "peak_mb")
    )
    lines = [
        f"{side:6} {middle(seconds[side], 's', 3)}, processor {middle(processor[side], 's', 3)}, "
        f"peak {middle(memory[side], 'MB', 1)}"
        for side in samples
    ]
    lines.append(f"now takes {ratios(seconds['now'], seconds['before'], 3)} the time")
    lines.append(f"now takes {ratios(processor['now'], processor['before'], 3)} the processor time")
    lines += _time_check(Path(model))
    name, words = name_body("cold_predict-versions", options.body)
    finish(
        f"cold prediction of one photo, beside {options.before}{words}", options.out / f"{name}.json", lines, samples
    )


def _time_check(model: Path) -> list[str]:
    """Time the check of the model file alone, and the digest in it, over and over in this process."""
    from bearcnn.digests import Digest
    from bearcnn.manifest import read_manifest

    content = model.read_bytes()

    def times(function: Callable[[], object]) -> list[float]:
        found = []
        for _ in range(50):
            start = time.perf_counter()
            function()
            found.append(1000 * (time.perf_counter() - start))
        return found

    checked, digested = times(lambda: read_manifest(model)), times(lambda: Digest().update(content))
    megabytes = len(content) / 1e6
    return [
        f"reading and checking the model file of {megabytes:.1f} MB: {middle(checked, 'ms')}",
        f"its digest alone: {middle(digested, 'ms')}, {1000 * statistics.median(digested) / megabytes:.0f} us per MB",
    ]


def _compare(load: int, samples: dict[str, list[Sample]], options: argparse.Namespace) -> None:
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    ours, theirs, _ = samples
    lines = [f"{side:30} {middle(seconds[side], 's')}, peak {middle(memory[side], 'MB', 0)}" for side in samples]
    lines.append(f"fastai takes {ratios(seconds[theirs], seconds[ours])} the time")
    lines.append(f"fastai takes {ratios(memory[theirs], memory[ours])} the memory")
    name, words = name_body("cold_predict", options.body)
    out = options.out / f"{name_of(name, load)}.json"
    finish(f"cold prediction of one photo{words}{words_of(load)}", out, lines, samples)


def add_body(parser: argparse.ArgumentParser) -> None:
    """Add the option of a pretrained body."""
    parser.add_argument("--body", default="none", help="efficientnet_lite0 for a network with it (default: none)")


def name_body(name: str, body: str) -> tuple[str, str]:
    """Return the result's name and words with the body, if there is one."""
    return (name, "") if body == "none" else (f"{name}-{body}", f", with the body {body}")


def _photos(folder: Path, data: Path | None) -> list[Path]:
    """Make a folder of two class folders, each with a few of the photos."""
    from bearcnn.data.photos import find_photos
    from bearcnn.data.synthetic.scenes import write_scenes

    if data is None:
        data = folder / "scenes"
        write_scenes(data, count=40, size=512, seed=0)
    found = list(find_photos(data))
    links = []
    for number, photo in enumerate(found[:: max(1, len(found) // 8)]):
        link = folder / "photos" / ("bear" if number % 2 else "other") / photo.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo.resolve())
        links.append(link)
    return links


if __name__ == "__main__":
    main()
