"""Pooling: does a small bear in a busy picture favour max? Scenes with smaller animals and more clutter.

    python experiments/pooling.py
    python experiments/pooling.py --data PHOTOS --config configs/tiny.toml

Writes its block of docs/findings.md, and docs/pictures/pooling.png. All differences are from max.
"""

from common import NETWORK, arguments, change, draw, draw_changes, mean, publish, sweep, table, tally

SCALES = {"large": "0.5-0.6", "middle": "0.25-0.3", "small": "0.12-0.15"}  # the animal's share of the picture's side
CLUTTERS = {"open": 0.1, "busy": 0.9}
TRAIN, OTHERS, EPOCHS = 800, 400, 20


def main() -> None:
    """Run the sweeps, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    command = ["sweep", "--vary", "model.pooling=max,avg,concat"]
    panels, rows, summaries = {}, [], []
    cases = [("your photos", "", options.data)] if options.data else [
        (bear, scene, draw(options.work / f"{bear}-{scene}", TRAIN, OTHERS, scale=scale, clutter=clutter))
        for scene, clutter in CLUTTERS.items()
        for bear, scale in SCALES.items()
    ]  # fmt: skip
    for bear, scene, data in cases:
        directory = options.work / f"pooling-{data.name}"
        content = sweep(directory, options, command, data, options.epochs or EPOCHS, () if options.data else NETWORK)
        panels.setdefault(f"{scene} scene" if scene else "photos", {})[f"{bear} bear" if scene else bear] = content
        for setting in content["settings"]:
            rows.append(
                [bear, scene, setting["label"], mean(setting, "valid.roc_auc"), change(setting, "valid.roc_auc"),
                 mean(setting, "train.log_loss"), mean(setting, "valid.log_loss")]
            )  # fmt: skip
        summaries.append(f"**{bear}{f' bear, {scene} scene' if scene else ''}.** {content['summary'][1]}")
    contents = [content for sweeps in panels.values() for content in sweeps.values()]
    picture = options.out.parent / "pictures" / ("pooling-photos.png" if options.data else "pooling.png")
    draw_changes(picture, panels, "pooling, against max")
    headings = ["bear", "scene", "pooling", "validation AUC", "against max", "training loss", "validation loss"]
    publish(
        options,
        "pooling",
        [
            tally(contents),
            f"![change of validation AUC and training loss against max pooling](pictures/{picture.name})",
            table(headings, rows),
            *summaries,
        ],
    )


if __name__ == "__main__":
    main()
