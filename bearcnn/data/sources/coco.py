"""COCO Camera Traps as a source: one JSON document with images, annotations and categories (Microsoft and LILA)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bearcnn.data import OnProgress
from bearcnn.data.sources.base import LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.cells import clean, parse_time, quote, to_text
from bearcnn.data.sources.gathering import Problem, Row, base_folder, locate, make_listing
from bearcnn.data.sources.labels import EMPTY, check_classes, choose_label, positive_words
from bearcnn.data.sources.tables import read_json
from bearcnn.errors import DataError

_FORMAT = "COCO Camera Traps, which has images, annotations and categories"
_EMPTY_NAMES = ("empty", "blank")


def list_coco(file: Path, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """Return the images of a COCO Camera Traps document, labelled by their annotations' categories.

    Paths start from the document's folder. An image with any positive category is positive, whatever else is on it. One
    without annotation is unlabelled, not empty, and is skipped; so are those marked as corrupt and those labelled
    unknown. The categories empty and blank, and category 0 without a name, are the subclass "empty". `location` is the
    site, `seq_id` the sequence and `datetime` the time; one that can't be read counts as unknown. Annotations of images
    that the document doesn't list don't count.

    Raises:
        DataError: the document isn't of this format, or is damaged.
    """
    document = _check_format(file, read_json(file))
    words = positive_words(positive)
    categories = _read_categories(file, document["categories"])
    found: dict[str, list[str]] = {}
    problems = list(_read_annotations(document["annotations"], categories, found))
    rows = _read_images(document["images"], found, base_folder(file), words)
    listing = make_listing(file, [*problems, *rows])
    check_classes(file, {photo.label for photo in listing.labelled}, categories.values(), positive)
    return listing


def _check_format(file: Path, document: Any) -> Mapping[str, list[Any]]:
    """Return the document if it has the parts of this format.

    Raises:
        DataError: it is of another format, which is named where it is known.
    """
    if isinstance(document, list):
        raise DataError(
            f"{file} is a bare list, as in Microsoft's new JSON format or in a detector's results, and not {_FORMAT}"
        )
    if not isinstance(document, dict):
        raise DataError(f"{file} is not {_FORMAT}")
    if "detection_categories" in document:
        raise DataError(
            f"{file} has a detector's results (MegaDetector), which label no photo: it belongs to `detections`"
        )
    if "predictions" in document:
        raise DataError(f"{file} has a model's predictions (SpeciesNet), which are no labels")
    if "resources" in document:
        raise DataError(f"{file} describes a data package: call it datapackage.json, as Camtrap DP does")
    missing = [part for part in ("images", "annotations", "categories") if not isinstance(document.get(part), list)]
    if missing:
        kind = "the names of the labels" if missing == ["categories"] else "what it needs"
        raise DataError(f"{file} lacks {kind}: it has no list of {' and '.join(missing)}; expected {_FORMAT}")
    return document


def _read_categories(file: Path, categories: Sequence[Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for place, category in enumerate(categories):
        key = to_text(category.get("id")) if isinstance(category, dict) else None
        name = to_text(category.get("name")) if isinstance(category, dict) else None
        if (name or (EMPTY if key == "0" else "")).casefold() in _EMPTY_NAMES:
            name = EMPTY
        if key is None or name is None or names.get(key, name) != name:
            raise DataError(f"{file}: category {place + 1} of the list has no id and name, or the id of another one")
        names[key] = name
    return names


def _read_annotations(
    annotations: Sequence[Any], categories: Mapping[str, str], found: dict[str, list[str]]
) -> Iterator[Row]:
    """Add the categories of each image to `found`; yield the annotations that can't be right."""
    for place, annotation in enumerate(annotations, start=1):
        values = annotation if isinstance(annotation, dict) else {}
        image, category = to_text(values.get("image_id")), to_text(values.get("category_id"))
        if image is None or category is None:
            yield f"annotation {place} of the list", Problem("no image_id or no category_id")
        elif category not in categories:
            yield f"annotation {place} of the list", Problem(f"there is no category {quote(category)}")
        else:
            found.setdefault(image, []).append(categories[category])


def _read_images(
    images: Sequence[Any], found: Mapping[str, list[str]], base: Path, words: Mapping[str, str]
) -> Iterator[Row]:
    places: dict[str, int] = {}
    for place, image in enumerate(images, start=1):
        where = f"image {place} of the list"
        values = image if isinstance(image, dict) else {}
        key, name = to_text(values.get("id")), values.get("file_name")
        path = locate(base, name) if isinstance(name, str) else None
        if key is None or path is None:
            yield where, Problem("no id, or no file_name that can be a file's name")
        elif places.setdefault(key, place) != place:
            yield where, Problem(f"its id {quote(key)} is that of image {places[key]} as well")
        else:
            yield where, _read_image(path, values, found.get(key), words)


def _read_image(
    path: Path, values: Mapping[str, Any], names: list[str] | None, words: Mapping[str, str]
) -> LabelledPhoto | SkippedPhoto:
    if values.get("corrupt") is True or to_text(values.get("corrupt")) in ("1", "true", "True"):
        return SkippedPhoto(path, "marked as corrupt", unread=True)
    chosen = choose_label(names, words) if names else "no annotation"
    if isinstance(chosen, str):
        return SkippedPhoto(path, chosen, unread=True)
    try:
        taken = parse_time(str(values["datetime"])) if isinstance(values.get("datetime"), str) else None
    except ValueError:
        taken = None
    label, subclass = chosen
    site, sequence = to_text(values.get("location")), to_text(values.get("seq_id"))
    return LabelledPhoto(path, label, clean(subclass), site=site, sequence=sequence, taken=taken)
