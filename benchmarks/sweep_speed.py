"""A sweep against as many separate `bearcnn train` commands, and against a sweep with several workers.

    python benchmarks/sweep_speed.py --rounds 3

All sides train the same networks for the same epochs on the same photos. Separate commands load torch and fastai, open
the data, export and evaluate each time; a sweep does so once, and `--workers` divides the cores.
"""

import os
import sys
import tempfile
from pathlib import Path

from measure import Sample, alternate, arguments, finish, middle, ratios, time_process

RATES = (0.0, 0.5)


def main() -> None:
    """Measure all sides in turn."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--seeds", type=int, default=3, help="training runs for each of the two rates")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    common = [
        "--epochs",
        str(options.epochs),
        "--set",
        f"data.image_size={options.image_size}",
        "--set",
        "model.widths=[16,32,64]",
        "--set",
        "train.batch_size=32",
    ]
    bearcnn = [sys.executable, "-m", "bearcnn"]
    environment = {name: os.environ[name] for name in ("BEARCNN_CACHE",) if name in os.environ}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.data is None:
            options.data = folder / "scenes"
            time_process([*bearcnn, "data", "synth", str(options.data), "--count", "1000", "--size", "64"])
        common += ["--data", str(options.data.absolute())]
        rounds = iter(range(10_000))

        def separate() -> Sample:
            place = folder / str(next(rounds))
            seconds = 0.0
            for rate in RATES:
                for seed in range(options.seeds):
                    out = place / f"{rate}-{seed}"
                    command = [*bearcnn, "train", *common, "--dropout", str(rate), "--seed", str(seed)]
                    seconds += time_process([*command, "--out", str(out)], **environment).seconds
            return Sample(seconds)

        def sweep(workers: int) -> Sample:
            place = folder / str(next(rounds))
            rates = ",".join(map(str, RATES))
            command = [*bearcnn, "sweep-dropout", *common, "--rates", rates, "--seeds", str(options.seeds)]
            command += ["--workers", str(workers), "--out", str(place)]
            return time_process(command, **environment)

        here = os.getcwd()  # noqa: PTH109
        os.chdir(folder)  # separate commands link runs/latest
        one, several = "one sweep", f"one sweep, {options.workers} workers"
        sides = {"separate training runs": separate, one: lambda: sweep(1), several: lambda: sweep(options.workers)}
        samples = alternate(sides, options.rounds)
        os.chdir(here)
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    lines = [f"{side}: {middle(found, 's', 1)}" for side, found in seconds.items()]
    lines += [
        f"{side}: {ratios(seconds['separate training runs'], found)} as fast as separate training runs"
        for side, found in seconds.items()
        if side != "separate training runs"
    ]
    runs = len(RATES) * options.seeds
    finish(f"{runs} training runs of {options.epochs} epochs", options.out / "sweep_speed.json", lines, samples)


if __name__ == "__main__":
    main()
