"""One photo in a fresh process: `bearcnn predict` beside plain fastai's `load_learner` + `predict`; and `--help`.

    python benchmarks/cold_predict.py [--model RUN_OR_ONNX] [--data PHOTOS]

The fastai side has the same network, made by fastai's own means and exported by `Learner.export`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Sample, alternate, arguments, finish, middle, ratios, time_process

# A network's speed doesn't depend on its training.
FRESH_MODEL = """
import sys
from pathlib import Path
from bearcnn.manifest import Manifest
from bearcnn.config import Config
from bearcnn.export.onnx import to_onnx
from bearcnn.model.network import build_model
config = Config()
manifest = Manifest(name="fresh", classes=("no", "bear"), image_size=config.data.image_size, resize=config.data.resize)
Path(sys.argv[1]).write_bytes(to_onnx(build_model(config.model).eval(), manifest))
"""

FASTAI_MODEL = """
import bearcnn._torch
import sys, warnings
warnings.simplefilter("ignore")
from fastai.vision.all import *
folder, out = sys.argv[1:]
resize = Resize(128, ResizeMethod.Squish)
loaders = ImageDataLoaders.from_folder(folder, valid_pct=0.5, item_tfms=resize, bs=2, num_workers=0)
widths = [3, 32, 64, 128, 256]
blocks = [ConvLayer(a, b, stride=2) for a, b in zip(widths, widths[1:])]
network = nn.Sequential(*blocks, AdaptiveConcatPool2d(1), Flatten(), nn.Linear(512, 2))
Learner(loaders, network, loss_func=CrossEntropyLossFlat()).export(out)
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = _photos(folder, options.data)
        # Both in their own processes: the memory of this process would count as that of its children.
        model, learner = options.model or str(folder / "fresh.onnx"), folder / "learner.pkl"
        if options.model is None:
            subprocess.run([sys.executable, "-c", FRESH_MODEL, model], check=True)
        subprocess.run([sys.executable, "-c", FASTAI_MODEL, str(photos[0].parents[1]), str(learner)], check=True)

        def bearcnn(*command: str) -> Sample:
            return time_process([sys.executable, "-m", "bearcnn", *command])

        samples = alternate(
            {
                "bearcnn predict": lambda: bearcnn("predict", str(photos[0]), "--model", model),
                "fastai load_learner + predict": lambda: time_process(
                    [sys.executable, "-c", FASTAI_PREDICT, str(learner), str(photos[0])]
                ),
                "bearcnn --help": lambda: bearcnn("--help"),
            },
            options.rounds,
        )
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    ours, theirs, _ = samples
    lines = [f"{side:30} {middle(seconds[side], 's')}, peak {middle(memory[side], 'MB', 0)}" for side in samples]
    lines.append(f"fastai takes {ratios(seconds[theirs], seconds[ours])} the time")
    lines.append(f"fastai takes {ratios(memory[theirs], memory[ours])} the memory")
    finish("cold prediction of one photo", options.out / "cold_predict.json", lines, samples)


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
