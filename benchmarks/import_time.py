"""Start-up time: `bearcnn --help` and imports, beside the imports of plain fastai and of torch.

python benchmarks/import_time.py
"""

import sys

from measure import alternate, arguments, finish, middle, ratios, time_process

MODULES = (
    "bearcnn.cli.app",
    "bearcnn.inference.predictor",
    "bearcnn.training.fit",
    "onnxruntime",
    "torch",
    "fastai.vision.all",
)


def main() -> None:
    """Measure, print and save."""
    options = arguments(__doc__.splitlines()[0], rounds=7, data=False).parse_args()
    commands = {"python -c pass": ["-c", "pass"], "bearcnn --help": ["-m", "bearcnn", "--help"]}
    for module in MODULES:
        # fastai can't be imported beside a torchvision for another torch; this fixes it and takes no time.
        first = "import bearcnn._torch; " if "fastai" in module else ""
        commands[f"import {module}"] = ["-c", f"{first}import {module}"]
    samples = alternate(
        {
            side: lambda command=command: time_process([sys.executable, "-W", "ignore", *command])
            for side, command in commands.items()
        },
        options.rounds,
    )
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    memory = {side: [sample.peak_mb for sample in found] for side, found in samples.items()}
    lines = [f"{side:26} {middle(seconds[side], 's')}, peak {middle(memory[side], 'MB', 0)}" for side in samples]
    slower = ratios(seconds["import fastai.vision.all"], seconds["bearcnn --help"])
    lines.append(f"importing fastai takes {slower} the time of bearcnn --help")
    finish("start-up", options.out / "import_time.json", lines, samples)


if __name__ == "__main__":
    main()
