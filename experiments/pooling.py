"""Pooling: does a small bear in a busy picture favour max? Scenes with smaller animals and more clutter.

    python experiments/pooling.py
    python experiments/pooling.py --data PHOTOS --config configs/tiny.toml

Writes its block of docs/findings.md, and experiments/results/pooling.json for the picture. All differences are from
max.
"""

from common import NETWORK, arguments, change, change_points, draw, keep_results, mean, publish, sweep, table, tally

SCALES = {"large": "0.5-0.6", "middle": "0.25-0.3", "small": "0.12-0.15"}  # the animal's share of the picture's side
CLUTTERS = {"open": 0.1, "busy": 0.9}
TRAIN, OTHERS, EPOCHS = 800, 400, 20


def main() -> None:
    """Run the sweeps, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    command = ["sweep", "--vary", "model.pooling=max,avg,concat"]
    contents, points, rows, summaries = [], [], [], []
    cases = (
        [("real photos", "", options.data)]
        if options.data
        else [
            (bear, scene, draw(options.work / f"{bear}-{scene}", TRAIN, OTHERS, scale=scale, clutter=clutter))
            for scene, clutter in CLUTTERS.items()
            for bear, scale in SCALES.items()
        ]
    )
    for bear, scene, data in cases:
        directory = options.work / f"pooling-{data.name}"
        content = sweep(directory, options, command, data, options.epochs or EPOCHS, () if options.data else NETWORK)
        contents.append(content)
        panel, series = (f"{scene} scene", f"{bear} bear") if scene else ("", bear)
        points += change_points(content, panel, series, ("valid.roc_auc",))
        for setting in content["settings"]:
            rows.append(
                [
                    bear,
                    scene,
                    setting["label"],
                    mean(setting, "valid.roc_auc"),
                    change(setting, "valid.roc_auc"),
                    mean(setting, "train.log_loss"),
                    mean(setting, "valid.log_loss"),
                ]
            )
        summaries.append(f"**{bear}{f' bear, {scene} scene' if scene else ''}.** {content['summary'][1]}")
    keep_results(options, "pooling", "pooling", points)
    headings = ["bear", "scene", "pooling", "validation AUC", "against max", "training loss", "validation loss"]
    parts = [tally(contents), table(headings, rows), *summaries]
    publish(options, "pooling", parts, "All numbers" if options.data is None else "On real photos")


if __name__ == "__main__":
    main()
