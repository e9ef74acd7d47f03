"""Kernel size and stride: the accuracy that they reach, and the multiply-adds that they cost.

    python experiments/kernels.py
    python experiments/kernels.py --data PHOTOS --config configs/tiny.toml

Writes its block of docs/findings.md, and docs/pictures/kernels.png. All differences are from stride 2, kernel 3.
"""

from pathlib import Path

from common import NETWORK, arguments, change, draw, mean, publish, sweep, table, tally

from bearcnn.config import load_config
from bearcnn.model.network import build_model
from bearcnn.model.summary import describe_model

KERNELS, STRIDES = (3, 5, 7), (2, 1)
TRAIN, OTHERS, EPOCHS = 800, 400, 15


def main() -> None:
    """Run the sweep, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    data = options.data or draw(options.work / f"train-{TRAIN}", TRAIN, OTHERS)
    command = ["sweep", "--vary", f"model.stride={','.join(map(str, STRIDES))}",
               "--vary", f"model.kernel_size={','.join(map(str, KERNELS))}"]  # fmt: skip
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
            [model.stride, model.kernel_size, f"{work:.1f}", f"{sum(layer.parameters for layer in layers):,}",
             f"{sum(own) / len(own):.0f}", mean(setting, "valid.roc_auc"), change(setting, "valid.roc_auc"),
             mean(setting, "valid.accuracy")]
        )  # fmt: skip
        points.append((model.stride, model.kernel_size, work, setting["means"]["valid.roc_auc"]))
    picture = options.out.parent / "pictures" / ("kernels-photos.png" if options.data else "kernels.png")
    draw_cost(picture, points)
    headings = ["stride", "kernel", "million multiply-adds", "parameters", "seconds per run", "validation AUC",
                "against stride 2, kernel 3", "validation accuracy"]  # fmt: skip
    publish(
        options,
        "kernels",
        [
            tally([content]),
            f"![validation AUC against multiply-adds](pictures/{picture.name})",
            table(headings, rows),
            " ".join(content["summary"][1:-1]),
        ],
    )


def draw_cost(file: Path, points: list) -> None:
    """Draw validation AUC with 95% intervals against the work for one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for stride, color, mark in ((2, "#0072B2", "o"), (1, "#D55E00", "s")):
        found = sorted((work, kernel, auc) for of, kernel, work, auc in points if of == stride)
        reach = [(auc["high"] or auc["mean"]) - auc["mean"] for _, _, auc in found]
        axes.errorbar([work for work, _, _ in found], [auc["mean"] for _, _, auc in found], reach, color=color,
                      marker=mark, capsize=3, linewidth=1, label=f"stride {stride}")  # fmt: skip
        for work, kernel, auc in found:
            axes.annotate(f"{kernel} x {kernel}", (work, auc["mean"]), (6, 6), textcoords="offset points", color=color)
    axes.set(xscale="log", xlabel="million multiply-adds for one picture", ylabel="validation AUC")
    axes.margins(x=0.12)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
