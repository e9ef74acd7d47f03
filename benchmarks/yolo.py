"""`yolo classify` of ultralytics, from a virtual environment of its own, scored like bearcnn; it is no dependency."""

import tempfile
from dataclasses import replace
from pathlib import Path

from measure import Sample, time_process, time_script

MODEL = "yolo11n-cls.yaml"
"""The smallest classifier of YOLO11. A .yaml file has no weights: they start random, as those of the other sides."""

ENVIRONMENT = {"YOLO_OFFLINE": "True", "YOLO_AUTOINSTALL": "False"}
"""No downloads: no weights, no font, no packages."""

ANSWER = """
import json, sys
from pathlib import Path
from ultralytics import YOLO, __version__

weights, folder, size = sys.argv[1:]
model, answers = YOLO(weights), []
for label, name in enumerate(("not_bear", "bear")):
    for photo in sorted((Path(folder) / name).iterdir()):
        (result,) = model.predict(str(photo), imgsz=int(size), device="cpu", verbose=False)
        index = next(index for index, known in result.names.items() if known == "bear")
        answers.append([label, float(result.probs.data[index])])
print(json.dumps({"answers": answers, "version": __version__}))
"""


def train_yolo(yolo: Path, photos: Path, *settings: str, epochs: int, size: int, seed: int) -> Sample:
    """Run `yolo classify train` with random first weights, and score the model that it leaves by our own AUC.

    The time is that of the whole command, without its plots. The answers of its best.pt to the validation photos are
    computed afterwards, in full precision (`yolo classify predict` rounds them), and not counted.

    Args:
        yolo: the command in its virtual environment.
        photos: a folder with train/ and valid/, each with bear/ and not_bear/.
        settings: further settings of the command, such as optimizer=AdamW.
        epochs: number of times that every training photo is used.
        size: side of the pictures, in pixels.
        seed: of its random numbers.

    Raises:
        RuntimeError: the command failed; the message has its output.
    """
    with tempfile.TemporaryDirectory(dir=photos.parent) as name:
        environment = {**ENVIRONMENT, "YOLO_CONFIG_DIR": name}  # the user's own settings stay as they are
        time_process([str(yolo), "settings", "sync=False"], **environment)  # no reports to its makers
        asked = {
            "model": MODEL,
            "pretrained": False,
            "data": photos,
            "epochs": epochs,
            "imgsz": size,
            "seed": seed,
            "device": "cpu",
            "plots": False,
            "project": name,
            "name": "run",
        }
        command = [str(yolo), "classify", "train", *(f"{key}={value}" for key, value in asked.items()), *settings]
        trained = time_process(command, **environment)
        weights, python = Path(name) / "run" / "weights" / "best.pt", str(yolo.with_name("python"))
        answered = time_script(ANSWER, weights, photos / "valid", size, python=python, **environment)
    values = {"roc_auc": _score(answered.values["answers"]), "version": answered.values["version"]}
    return replace(trained, values=values)


def _score(answers: list[tuple[int, float]]) -> float:
    from bearcnn.evaluation.metrics import score

    labels, probabilities = zip(*answers, strict=True)
    return score(labels, probabilities)["roc_auc"]
