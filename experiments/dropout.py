"""Dropout: worse on training data, better on unseen data? Drawn scenes, 50, 200 and 800 for training.

    python experiments/dropout.py
    python experiments/dropout.py --data PHOTOS --config configs/tiny.toml

Writes its block of docs/findings.md, and experiments/results/dropout.json for the picture.
"""

from common import NETWORK, arguments, change, change_points, draw, keep_results, mean, publish, sweep, table, tally

PLACES = {"head": "features (head)", "conv": "whole maps (conv)", "input": "pixels (input)", "all": "all three"}
RATES = "0,0.2,0.4,0.6"
ALL_RATES = "0,0.1,0.2,0.3,0.4,0.5,0.6,0.7"
EPOCHS = {50: 80, 200: 40, 800: 16}  # about as many steps for each: small sets need more epochs
BATCH = {50: 16, 200: 32, 800: 32}
OTHERS = 400  # photos for validation, and as many for the test


def main() -> None:
    """Run the sweeps, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    contents, points, rows, summaries = [], [], [], []
    sizes = [0] if options.data else list(EPOCHS)
    for place in PLACES if not options.data else ["head"]:
        for size in sizes:
            name = f"{size} photos" if size else "real photos"
            data = options.data or draw(options.work / f"train-{size}", size, OTHERS)
            epochs = options.epochs or EPOCHS.get(size, 15)
            network = () if options.data else (*NETWORK, f"train.batch_size={BATCH[size]}")
            rates = ALL_RATES if options.data else RATES
            directory = options.work / f"dropout-{place}-{size or options.data.name}"
            content = sweep(
                directory, options, ["sweep-dropout", "--where", place, "--rates", rates], data, epochs, network
            )
            contents.append(content)
            points += change_points(content, PLACES[place], name, ("valid.roc_auc", "train.log_loss"))
            for setting in content["settings"]:
                rows.append(
                    [
                        place,
                        name,
                        setting["label"],
                        mean(setting, "train.log_loss"),
                        change(setting, "train.log_loss"),
                        mean(setting, "valid.roc_auc"),
                        change(setting, "valid.roc_auc"),
                        mean(setting, "gap.roc_auc"),
                    ]
                )
            summaries.append(
                f"**{place}, {name}.** " + " ".join(content["summary"][1:4]) + " " + content["summary"][-2]
            )
    keep_results(options, "dropout", "dropout", points)
    headings = [
        "where",
        "trained on",
        "rate",
        "training loss",
        "its change",
        "validation AUC",
        "its change",
        "gap (AUC)",
    ]
    parts = [tally(contents), table(headings, rows), *summaries]
    publish(options, "dropout", parts, "All numbers" if options.data is None else "On real photos")


if __name__ == "__main__":
    main()
