"""The small installation for predictions: its size on disk, and one photo in a fresh process, by each engine.

    python benchmarks/edge.py [--data PHOTOS] [--rounds 7]

Two environments are made of requirements-edge.txt, with onnxruntime and with OpenCV (as on 32-bit ARM), from the index
that pip is configured for. The models are fresh networks of the default configuration and with EfficientNet-Lite0,
float and int8; a network's speed doesn't depend on its training. OpenCV refuses int8.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measure import Sample, alternate, arguments, finish, middle, say, time_process

ROOT = Path(__file__).resolve().parents[1]
ENGINES = {"onnxruntime": "onnxruntime", "opencv": "opencv-python-headless"}
BODIES = {"none": "no body", "efficientnet_lite0": "with a body"}

FRESH_MODELS = """
import sys
from pathlib import Path
import numpy as np
from bearcnn.manifest import Manifest
from bearcnn.config import load_config
from bearcnn.export.int8 import to_int8
from bearcnn.export.onnx import to_onnx
from bearcnn.model.network import build_model
config = load_config(None, [f"model.body={sys.argv[2]}"])
size = config.data.image_size
manifest = Manifest(
    name="fresh", classes=("no", "bear"), image_size=size, resize=config.data.resize, temperature=1.3
)
whole = to_onnx(build_model(config.model).eval(), manifest)
pixels = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
for name, content in (("float", whole), ("int8", to_int8(whole, manifest, pixels))):
    Path(sys.argv[1], f"{sys.argv[2]}-{name}.onnx").write_bytes(content)
"""


def main() -> None:
    """Measure, print and save."""
    options = arguments(__doc__.splitlines()[0], rounds=7).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = _photo(folder, options.data)
        for body in BODIES:
            subprocess.run([sys.executable, "-c", FRESH_MODELS, name, body], check=True, stderr=subprocess.DEVNULL)
        pythons = {engine: _environment(folder / engine, engine) for engine in ENGINES}
        sizes = {engine: _megabytes(folder / engine) for engine in ENGINES}

        def predict(engine: str, model: Path) -> Sample:
            command = [str(pythons[engine]), "-I", "-m", "bearcnn", "predict", str(photo), "--model", str(model)]
            return time_process([*command, "--engine", engine])

        sides = {}
        for body, words in BODIES.items():
            for precision in ("float", "int8"):
                for engine in ENGINES:
                    if (engine, precision) != ("opencv", "int8"):
                        model = folder / f"{body}-{precision}.onnx"
                        sides[f"{engine}, {precision}, {words}"] = lambda e=engine, m=model: predict(e, m)
        samples = alternate(sides, options.rounds)
    lines = [f"{engine} environment: {size:.0f} MB on disk" for engine, size in sizes.items()]
    for side, found in samples.items():
        seconds, memory = [sample.seconds for sample in found], [sample.peak_mb for sample in found]
        lines.append(f"{side:34} {middle(seconds, 's')}, peak {middle(memory, 'MB', 0)}")
    finish("prediction of one photo in the small installation", options.out / "edge.json", lines, samples, sizes=sizes)


def _environment(folder: Path, engine: str) -> Path:
    """Make an environment with one engine, and return its Python."""
    say(f"making the environment with {engine}")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    lines = (ROOT / "requirements-edge.txt").read_text(encoding="utf-8").splitlines()
    requirements = [line.partition(";")[0].strip() for line in lines if line and not line.startswith("#")]
    others = [package for name, package in ENGINES.items() if name != engine]
    chosen = [each for each in requirements if not each.startswith(tuple(others))]
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, *chosen], check=True)
    with tempfile.TemporaryDirectory() as name:  # building writes beside the source
        for part in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, name)
        shutil.copytree(ROOT / "bearcnn", Path(name, "bearcnn"), ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([*install, "--no-deps", name], check=True)
    return python


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink()) / 1e6


def _photo(folder: Path, data: Path | None) -> Path:
    from bearcnn.data.photos import find_photos
    from bearcnn.data.synthetic.scenes import write_scenes

    if data is None:
        data = folder / "scenes"
        write_scenes(data, count=4, size=512, seed=0)
    return next(find_photos(data)).resolve()


if __name__ == "__main__":
    main()
