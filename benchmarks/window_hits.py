"""The pointing game: the share of photos whose best window's centre lies in the drawn bear's box.

Measured with a run's exported model on drawn scenes, the only photos with known boxes: the run's own test scenes, or
others with --data. Beside it are the shares of a random window and of the best fixed window.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from bearcnn.data.dataset import Dataset
from bearcnn.errors import BearcnnError
from bearcnn.inference.predictor import Predictor
from bearcnn.inference.score import point_at_bears
from bearcnn.runs import open_run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="run folder; the newest finished run unless given")
    parser.add_argument("--data", type=Path, help="a folder of `bearcnn data synth` instead of the run's own data")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    arguments = parser.parse_args()
    try:
        run = open_run(arguments.run)
        dataset = (
            Dataset.for_evaluation(arguments.data, run.config().data)
            if arguments.data
            else Dataset.from_record(run.dataset_record(), run.config().data)
        )
        hits = point_at_bears(Predictor(run.onnx_file), dataset, "test")
    except BearcnnError as error:
        parser.exit(1, f"error: {error}\n")
    if hits is None:
        parser.exit(1, f"error: nobody knows where the bears in {dataset.root} are; use --data with drawn scenes\n")
    if arguments.json:
        print(json.dumps({name: asdict(part) for name, part in hits.items()}, indent=1))
        return
    for name, what in (("all", "all bears"), ("found", "bears that the model finds")):
        found = hits[name]
        print(f"{what}: the best window points at {found.hits} of {found.photos}: {found.rate}")
        if found.chance is not None:
            print(
                f"  a random window: {found.chance:.3f}; the best fixed window: {found.best_place:.3f} "
                f"(the boxes cover {found.box_area:.3f} of the picture)"
            )


if __name__ == "__main__":
    main()
