"""MegaDetector's batch results: where a detector has found animals in photos.

The format's versions 1.0 to 1.6 are read (https://lila.science/megadetector-output-format). Boxes are of the upright
photo, as MegaDetector reads it.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, NamedTuple

from bearcnn.data.regions import Box, absolute
from bearcnn.errors import DataError

USUAL_THRESHOLD = 0.2
"""The confidence above which a detection counts, where a file suggests none."""

Threshold = float | Literal["auto"]

_SAMPLE = 200  # names of a file that are looked for below a folder
_OUTSIDE = 0.05  # share of the photo's side that a box may reach beyond its edge: detectors round


class Detection(NamedTuple):
    """An animal that the detector found."""

    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class DetectionFile:
    """The animals of each photo in a file of MegaDetector."""

    path: Path
    suggested_threshold: float
    animals: dict[str, tuple[Detection, ...] | None] = field(repr=False)
    """By the photo's name as the file has it, the surest first; None where the detector failed."""

    def boxes(self, folders: Iterable[Path], threshold: Threshold = "auto") -> dict[str, tuple[Box, ...] | None]:
        """Return the boxes of the animals above a confidence, by the photos' absolute paths, the surest first.

        Args:
            folders: where the photos may be. The names in the file are relative to that one of these folders, the
                folders above them, the file's own and the current one that has most of the photos.
            threshold: the lowest confidence that counts; "auto" for the one that the file suggests.

        Raises:
            DataError: none of the file's photos is there.
        """
        least = self.suggested_threshold if threshold == "auto" else threshold
        root = self._find_root(folders)
        return {
            absolute(root / name): None
            if found is None
            else tuple(each.box for each in found if each.confidence >= least)
            for name, found in self.animals.items()
        }

    def _find_root(self, folders: Iterable[Path]) -> Path:
        names = list(self.animals)
        sample = names[:: max(1, len(names) // _SAMPLE)]
        candidates = list(dict.fromkeys(_with_parents([*folders, self.path.parent, Path()])))
        found = {folder: sum(os.path.exists(folder / name) for name in sample) for folder in candidates}  # noqa: PTH110
        best = max(candidates, key=found.__getitem__)  # the first of equal ones
        if not found[best]:
            raise DataError(
                f"{self.path}: none of its photos, such as {_shown(sample[0])}, is in {_shown(candidates[0])} or a "
                "folder above it; run MegaDetector on the photos where they are now, or put them back"
            )
        return best


def _with_parents(folders: Iterable[Path]) -> Iterator[Path]:
    known = set()
    for folder in folders:
        whole = Path(absolute(folder))
        for each in (whole, *whole.parents):
            if each not in known:
                known.add(each)
                yield each


def read_detections(path: Path) -> DetectionFile:
    """Read the animals in a file of MegaDetector's batch results.

    Raises:
        DataError: the file can't be read, is of another format, or damaged.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"the detections {path} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path} is not JSON: expected MegaDetector's batch results") from None
    _check_format(path, content)
    animal = _find_animal(path, content["detection_categories"])
    animals: dict[str, tuple[Detection, ...] | None] = {}
    for number, image in enumerate(content["images"]):
        try:
            name = _normalize(image["file"])
            found = _read_animals(image, animal)
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            where = image.get("file", "") if isinstance(image, dict) else ""
            raise DataError(f"{path}: images[{number}] ({_shown(where)}) is damaged: {problem}") from None
        earlier = animals.get(name)
        animals[name] = tuple(sorted((*earlier, *(found or ())), reverse=True)) if earlier else found
    if not animals:
        raise DataError(f"{path} has no photos: its list of images is empty")
    return DetectionFile(path, _suggested_threshold(content), animals)


def _check_format(path: Path, content: Any) -> None:
    """Refuse other formats by name."""
    if isinstance(content, list):
        other = "a bare list, as Microsoft's PytorchWildlife writes it"
    elif not isinstance(content, dict):
        other = "a single value"
    elif "predictions" in content:
        other = "SpeciesNet's predictions, which its speciesnet_to_md converts"
    elif "annotations" in content:
        other = "COCO annotations"
    elif not isinstance(content.get("images"), list) or not isinstance(content.get("detection_categories"), dict):
        other = "JSON without a list called images and a table called detection_categories"
    else:
        info = content.get("info")
        version = str(info.get("format_version", "1")) if isinstance(info, dict) else "1"
        if version.partition(".")[0] == "1":
            return
        other = f"format version {version}, and 1.0 to 1.6 are known"
    raise DataError(
        f"{path} is not MegaDetector's batch results: it is {other}; name the JSON file that MegaDetector has written"
    )


def _find_animal(path: Path, categories: dict[str, Any]) -> str:
    for number, name in categories.items():
        if str(name).casefold() == "animal":
            return number
    names = ", ".join(map(str, categories.values())) or "none"
    raise DataError(f"{path} has no detection category called animal (it has: {names}): it can't tell where one is")


def _suggested_threshold(content: dict[str, Any]) -> float:
    info = content.get("info")
    detector = info.get("detector_metadata") if isinstance(info, dict) else None
    suggested = detector.get("typical_detection_threshold") if isinstance(detector, dict) else None
    if isinstance(suggested, int | float) and 0 <= suggested <= 1:
        return float(suggested)
    return USUAL_THRESHOLD


def _normalize(name: str) -> str:
    """Return a name with forward slashes, as this computer would write it."""
    if not isinstance(name, str) or not name:
        raise ValueError("its file is no name")
    return str(PurePosixPath(name if "\\" not in name else PureWindowsPath(name).as_posix()))


def _shown(name: object) -> str:
    """Return a name from a file as text that can be printed, whatever is in it."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _read_animals(image: dict[str, Any], animal: str) -> tuple[Detection, ...] | None:
    """Return the animals in one photo, the surest first; None where the detector failed."""
    found = image.get("detections")
    if found is None:  # with a reason in `failure`
        return None
    return tuple(sorted((_read_animal(each) for each in found if str(each["category"]) == animal), reverse=True))


def _read_animal(detection: dict[str, Any]) -> Detection:
    confidence = float(detection["conf"])
    if not 0 <= confidence <= 1:
        raise ValueError(f"conf {confidence} is not between 0 and 1")
    left, top, width, height = (float(value) for value in detection["bbox"])
    box = left, top, left + width, top + height
    if not all(math.isfinite(value) and -_OUTSIDE <= value <= 1 + _OUTSIDE for value in box) or min(width, height) < 0:
        raise ValueError(f"bbox {detection['bbox']} is not [x, y, width, height] as shares of the photo")
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in box)
    return Detection(confidence, (left, top, right, bottom))
