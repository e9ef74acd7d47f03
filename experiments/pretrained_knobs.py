"""Dropout, pooling and kernel size on top of a pretrained body: what is left for them to do?

    python experiments/pretrained_knobs.py
    python experiments/pretrained_knobs.py --data PHOTOS

Drawn scenes with small bears and three of the body's maps; with --data 32, 128 and all photos and the last map. Each
seed draws other photos, other first weights and another order; all settings get the same draws. Writes its block of
docs/findings.md, and experiments/results/pretrained_knobs.json for the picture.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from common import arguments, bearcnn, change_points, keep_results, publish, table
from common import change as show_change
from common import mean as show_mean
from heads import BODY, describe_machine, sweep_draws

from bearcnn.config import load_config
from bearcnn.sweep.analysis import to_json
from bearcnn.sweep.summary import write_summary

KNOBS: dict[str, tuple[Any, ...]] = {
    "model.dropout": (0.0, 0.2, 0.5, 0.8),
    "model.pooling": ("max", "avg", "concat"),
    "model.kernel_size": (1, 3, 5),
}
# Photos to train on, epochs, and photos in a step: 200 steps for few photos, 1,200 for all 1,929, 240 for scenes. The
# same number for every value of a knob; the training AUC in the table tells whether it was enough.
PHOTOS = {32: (50, 8), 128: (50, 32), None: (20, 32)}
SCENES = {200: (20, 16)}
STAGES = {-1: "7 × 7 places", -2: "14 × 14 places", -3: "28 × 28 places"}
Case = tuple[str, list[str], int | None, list[str]]
"""Name, settings, photos to train on, and the knobs."""
SCALE, SIZE, SCENE_COUNT = "0.05-0.15", 224, 2000


def main() -> None:
    """Run the sweeps, and write the findings."""
    options = arguments(__doc__.splitlines()[0])
    cases = _photos(options) if options.data else _scenes(options)
    points: list[dict[str, Any]] = []
    rows, summaries, seconds, trials = [], [], 0.0, 0
    for case, settings, count, keys in cases:
        for key in keys:
            knob, values = key.partition(".")[2], KNOBS[key]
            base = load_config(options.config, [*BODY, *settings])
            directory = options.work / f"pretrained_knobs-{case}-{knob}".replace(" ", "-")
            analysis, records = sweep_draws(directory, base, {key: values}, options.seeds, count)
            content = {
                **to_json(analysis, {record.id: record for record in records}),
                "summary": write_summary(analysis).splitlines(),
            }
            points += change_points(content, knob.replace("_", " "), _describe(case), ("valid.roc_auc",))
            seconds += sum(record.seconds for record in records)
            trials += len(records)
            for setting in content["settings"]:
                rows.append(
                    [
                        case,
                        knob.replace("_", " "),
                        setting["label"],
                        show_mean(setting, "valid.roc_auc"),
                        show_change(setting, "valid.roc_auc"),
                        show_mean(setting, "train.roc_auc"),
                        show_mean(setting, "train.log_loss"),
                    ]
                )
            summaries.append(f"**{case}, {knob.replace('_', ' ')}.** {content['summary'][1]}")
    keep_results(options, "pretrained_knobs", "value, against the first one", points)
    headings = [
        "photos" if options.data else "body's map",
        "knob",
        "value",
        "validation AUC",
        "its change",
        "training AUC",
        "training loss",
    ]
    runs = f"{trials} training runs, {seconds / 3600:.1f} hours of one process, on {describe_machine()}."
    parts = [runs, table(headings, rows), *summaries]
    publish(options, "pretrained_knobs", parts, "All numbers" if options.data is None else "On real photos")


def _describe(case: str) -> str:
    """Add the size of a body's map to its name."""
    return next((f"{case}: {size}" for stage, size in STAGES.items() if case == f"stage {stage}"), case)


def _photos(options: Namespace) -> list[Case]:
    data = f"data.path={options.data}"
    return [
        (f"{count or 'all'} photos", [data, *_length(options, *length)], count, list(KNOBS))
        for count, length in PHOTOS.items()
    ]


def _scenes(options: Namespace) -> list[Case]:
    folder: Path = options.work / "small-bears"
    if not folder.is_dir():
        bearcnn("data", "synth", folder, "--count", SCENE_COUNT, "--size", SIZE, "--bear-scale", SCALE)
    ((count, (epochs, batch_size)),) = SCENES.items()

    def case(name: str, stage: int) -> Case:
        settings = [f"data.path={folder}", f"model.body_stage={stage}", *_length(options, epochs, batch_size)]
        return name, settings, count, list(KNOBS)

    return [case(f"stage {stage}", stage) for stage in STAGES]


def _length(options: Namespace, epochs: int, batch_size: int) -> list[str]:
    return [f"train.epochs={options.epochs or epochs}", f"train.batch_size={batch_size}"]


if __name__ == "__main__":
    main()
