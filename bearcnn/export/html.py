"""The network in a web page: one file that answers photos in any browser, without a server and without a network.

The page holds the ONNX file, onnxruntime-web, and bearcnn's way from a photo to the network's square once more in
JavaScript (templates/jpeg.js and photo.js), so that its answers are those of `bearcnn predict`. Drawn pictures with
predict's answers lie in it as well, by which it checks itself in every browser.
"""

import base64
import gzip
import json
import re
import tempfile
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from bearcnn._version import __version__
from bearcnn.data.regions import Tiles
from bearcnn.data.scratch import scratch_folder
from bearcnn.export.base import Exported, ExportSource, run_onnx
from bearcnn.export.check_pictures import draw_check_pictures
from bearcnn.export.int8 import to_int8
from bearcnn.export.web_runtime import WebRuntime, find_runtime
from bearcnn.inference.overlay import shade
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.windows import find_windows
from bearcnn.manifest import Manifest
from bearcnn.pages import load_template

TOLERANCE = 1e-3
"""The largest difference from predict's answers with which a page says that it works."""

_SCRIPTS = ("jpeg.js", "photo.js", "model.js")
_NETWORK = re.compile(rb'id="network">([^<]*)<')


def export_html(source: ExportSource) -> Exported:
    """Export the float network in a page; its answers come from the network read back from the page."""
    content = to_html(source.float_onnx, find_runtime(source.runtime))
    return Exported(content, run_onnx(read_network(content)))


def export_html_int8(source: ExportSource) -> Exported:
    """Export the network quantized in a page, for a large body: a quarter of the float network's size."""
    model = to_int8(source.float_onnx, source.manifest, source.calibration_pixels())
    content = to_html(model, find_runtime(source.runtime))
    return Exported(content, run_onnx(read_network(content)))


def to_html(model: bytes, runtime: WebRuntime) -> bytes:
    """Write the page of a stamped ONNX model, which `bearcnn predict` answers the page's drawn pictures with."""
    with scratch_folder(Path(tempfile.gettempdir()), "bearcnn-export") as folder:
        file = folder / "model.onnx"
        file.write_bytes(model)
        predictor = Predictor(file)
        examples = _answer_examples(predictor, folder)
    manifest, notices = predictor.manifest, _notices()
    page = _describe(predictor, examples)
    style = load_template("bearcnn.export", "model.css", {}).render(legend=_legend())
    script = "\n".join((files("bearcnn.export") / "templates" / name).read_text("utf-8") for name in _SCRIPTS)
    text = load_template("bearcnn.export", "model.html", {}).render(
        version=__version__,
        manifest=manifest,
        whole_manifest=json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False),
        facts=_facts(manifest, len(model)),
        tiles=page["tiles"],
        detections=manifest.config.get("data", {}).get("detections"),
        examples=examples,
        tolerance=TOLERANCE,
        runtime=runtime,
        licence=(files("onnxruntime") / "LICENSE").read_text("utf-8"),
        notices=pack(notices) if notices else "",
        page=page,
        network=pack(model),
        runtime_module=pack(runtime.module),
        runtime_wasm=pack(runtime.wasm),
        style=Markup(style),  # noqa: S704 - these two are files of bearcnn
        script=Markup(script),  # noqa: S704
        style_digest=_allow(style),
        script_digest=_allow(script),
    )
    return text.encode("utf-8", "backslashreplace")


def read_network(page: bytes) -> bytes:
    """Return the ONNX model in a page."""
    found = _NETWORK.search(page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1]))


def resizes_columns_first() -> bool:
    """Check whether Pillow resizes columns before rows where a picture is made much lower, as newer versions do."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 8, 3), np.uint8))
    rows_first = noise.resize((7, 64), Image.Resampling.BICUBIC).resize((7, 16), Image.Resampling.BICUBIC)
    return noise.resize((7, 16), Image.Resampling.BICUBIC) != rows_first


def pack(content: bytes) -> str:
    """Return bytes as the page holds them: gzip in base 64, always the same for the same bytes."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def _answer_examples(predictor: Predictor, folder: Path) -> list[dict[str, Any]]:
    """Answer the drawn pictures as `bearcnn predict` does."""
    pictures = draw_check_pictures()
    paths = [folder / f"{number}" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture.content)
    return [
        {
            "picture": base64.b64encode(picture.content).decode("ascii"),
            "type": picture.type,
            "words": picture.words,
            "probability": answer.probability,
        }
        for picture, answer in zip(pictures, predictor.predict(paths), strict=True)
    ]


def _describe(predictor: Predictor, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe the model for the page's script."""
    manifest, regions = predictor.manifest, predictor.regions
    square = np.zeros((1, manifest.image_size, manifest.image_size, 3), np.uint8)
    windows = find_windows(manifest, predictor.predict_pixels(square)[1].shape[1])
    color, opacity = shade(np.arange(256) / 255)
    return {
        "negative": manifest.classes[0],
        "positive": manifest.classes[1],
        "size": manifest.image_size,
        "resize": manifest.resize,
        "threshold": manifest.threshold,
        "unsure": manifest.unsure,
        "tiles": regions.count if isinstance(regions, Tiles) else 0,
        "columnsFirst": resizes_columns_first(),
        "megapixels": predictor.max_megapixels,
        "edges": windows.edges().round(6).tolist(),
        "frames": [windows.frame(place) for place in range(len(windows.centres))],
        "colors": np.column_stack([color.round(), opacity.round(3)]).tolist(),
        "examples": examples,
        "tolerance": TOLERANCE,
    }


def _facts(manifest: Manifest, size: int) -> list[tuple[str, str]]:
    """Return the model's main facts: a name and a value each."""
    body, counts = manifest.body, manifest.data.get("counts", {}).get("train", {})
    photos = [f"{sum(counts[name].values()):,} {name}" for name in manifest.classes if name in counts]
    return [
        ("name", manifest.name),
        ("classes", " and ".join(manifest.classes)),
        ("threshold", f"{manifest.threshold:.6g}"),
        ("picture", f"{manifest.image_size} x {manifest.image_size} px, photos are made square by {manifest.resize}"),
        ("training photos", ", ".join(photos) or "unknown"),
        ("pretrained body", f"{body['name']}, {body['licence']}" if body else "none"),
        ("written", manifest.created),
        ("ONNX file", f"{size / 1e6:.2f} MB"),
        ("digest", manifest.digest),
    ]


def _notices() -> bytes:
    """Return the notices of the libraries that onnxruntime is built from; empty where its package brings none."""
    file = files("onnxruntime") / "ThirdPartyNotices.txt"
    return file.read_bytes() if file.is_file() else b""


def _legend() -> Markup:
    """Return the colors from 0.5 to 1 as the stops of a CSS gradient."""
    color, opacity = shade(np.linspace(0.5, 1, 9))
    stops = zip(color.round().astype(int).tolist(), opacity.tolist(), strict=True)
    return Markup(", ".join(f"rgb({red} {green} {blue} / {share:.2f})" for (red, green, blue), share in stops))  # noqa: S704


def _allow(text: str) -> Markup:
    """Return the digest by which the page's rules allow a script or a style."""
    digest = base64.b64encode(sha256(text.encode()).digest()).decode("ascii")
    return Markup("'sha256-{}'").format(digest)
