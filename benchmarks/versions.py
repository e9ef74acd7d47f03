"""Another checkout of bearcnn beside this one, in turn: start-up, predictions and training, as ratios.

git worktree add ../before v0.1.0
python benchmarks/versions.py ../before --data photos --photo camera.jpg
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="folder of the other checkout")
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--photo", type=Path, required=True, help="a camera photo")
    parser.add_argument("--rounds", type=int, default=9, help="of short commands; trainings get half as many")
    options = parser.parse_args()
    sides = {"before": options.before.resolve(), "now": HERE}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)

        def run(side: str, *arguments: object) -> float:
            environment = {**os.environ, "PYTHONPATH": str(sides[side]), "COLUMNS": "80"}
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "bearcnn", *map(str, arguments)],
                cwd=work,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            return time.perf_counter() - start

        def train(side: str, size: int) -> float:
            out = work / f"{side}-{size}"
            shutil.rmtree(out, ignore_errors=True)
            run(
                side,
                "train",
                "--data",
                options.data.resolve(),
                "--image-size",
                size,
                "--set",
                "train.sizes=[]",
                "--batch-size",
                64,
                "--epochs",
                4,
                "--out",
                out,
            )
            epochs = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
            return statistics.median(epoch["images_per_second"] for epoch in epochs[1:])

        train("before", 32)
        model, photo = work / "before-32" / "model.onnx", options.photo.resolve()
        copy = shutil.copy(model, work / "model.onnx")
        turns("--help, seconds", lambda side: run(side, "--help"), options.rounds)
        turns("one photo, seconds", lambda side: run(side, "predict", photo, "--model", copy), options.rounds)
        folder = options.data.resolve()
        turns("a folder, seconds", lambda side: run(side, "predict", folder, "--model", copy), options.rounds // 2)
        for size in (32, 128):
            train("now", size)  # the pixels are decoded once
            turns(f"training at {size} px, images/s", lambda side, size=size: train(side, size), options.rounds // 2)


def turns(name: str, measure: Callable[[str], float], rounds: int) -> None:
    """Measure both sides in turn, and print medians and the ratios' median and range."""
    got: dict[str, list[float]] = {"before": [], "now": []}
    for number in range(max(1, rounds)):
        for side in ("before", "now") if number % 2 == 0 else ("now", "before"):
            got[side].append(measure(side))
    ratios = [now / before for before, now in zip(got["before"], got["now"], strict=True)]
    before, now = (statistics.median(got[side]) for side in ("before", "now"))
    print(
        f"{name}: before {before:.3g}, now {now:.3g}, now/before {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}), {len(ratios)} rounds",
        flush=True,
    )


if __name__ == "__main__":
    main()
