"""Kernel size and stride: the accuracy that they reach, and the multiply-adds that they cost.

    python experiments/kernels.py
    python experiments/kernels.py --data PHOTOS --config configs/tiny.toml

Writes its block of docs/findings.md, and experiments/results/kernels.json for the picture. All differences are from
stride 2, kernel 3.
"""

from common import NETWORK, arguments, change, draw, keep_results, mean, publish, score_point, sweep, table, tally

from bearcnn.config import load_config
from bearcnn.model.network import build_model
from bearcnn.model.summary import describe_model

KERNELS, STRIDES = (3, 5, 7), (2, 1)
TRAIN, OTHERS, EPOCHS = 800, 400, 15


def main() -> None:
    """Run the sweep, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    data = options.data or draw(options.work / f"train-{TRAIN}", TRAIN, OTHERS)
    command = [
        "sweep",
        "--vary",
        f"model.stride={','.join(map(str, STRIDES))}",
        "--vary",
        f"model.kernel_size={','.join(map(str, KERNELS))}",
    ]
    directory = options.work / f"kernels-{data.name}"
    content = sweep(directory, options, command, data, options.epochs or EPOCHS, () if options.data else NETWORK)
    base = load_config(directory / "config.toml")
    rows, points = [], []
    for setting in content["settings"]:
        model = base.model.model_copy(
            update={key.partition(".")[2]: value for key, value in setting["settings"].items()}
        )
        layers = describe_model(build_model(model), base.data.image_size)
        work = sum(layer.multiply_adds for layer in layers) / 1e6
        own = [trial["seconds"] for trial in content["trials"] if trial["settings"] == setting["settings"]]
        rows.append(
            [
                model.stride,
                model.kernel_size,
                f"{work:.1f}",
                f"{sum(layer.parameters for layer in layers):,}",
                f"{sum(own) / len(own):.0f}",
                mean(setting, "valid.roc_auc"),
                change(setting, "valid.roc_auc"),
                mean(setting, "valid.accuracy"),
            ]
        )
        where = {"panel": "", "series": f"stride {model.stride}", "x": str(model.kernel_size), "cost": round(work, 1)}
        points.append(score_point(content, setting, "valid.roc_auc", **where))
    keep_results(options, "kernels", "million multiply-adds for one picture", points)
    headings = [
        "stride",
        "kernel",
        "million multiply-adds",
        "parameters",
        "seconds per run",
        "validation AUC",
        "against stride 2, kernel 3",
        "validation accuracy",
    ]
    parts = [tally([content]), table(headings, rows), " ".join(content["summary"][1:-1])]
    publish(options, "kernels", parts, "All numbers" if options.data is None else "On real photos")


if __name__ == "__main__":
    main()
