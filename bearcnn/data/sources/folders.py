"""A folder of class folders as a source: the names of the folders are the labels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bearcnn.data import OnProgress
from bearcnn.data.group_names import AUTO, NONE, name_group_folder
from bearcnn.data.names import readable
from bearcnn.data.photos import find_photos
from bearcnn.data.sources.base import SPLIT_NAMES, LabelledPhoto, Listing, SkippedPhoto
from bearcnn.data.sources.labels import one_of_words, suggest_positive
from bearcnn.data.splits import Split
from bearcnn.errors import DataError

Place = tuple[str, ...]  # the folders that a photo is in, below the root


def list_folders(root: Path, positive: Sequence[str], on_progress: OnProgress | None = None) -> Listing:
    """Return the photos below a folder, labelled by the folders that they are in.

    A photo is positive if a folder above it, below `root`, has one of the names in `positive`, in upper or lower case.
    Top folders called train, valid (val, validation) and test are splits if one of them has a positive folder;
    otherwise "train" is a class.

    Raises:
        DataError: no such folder, or not one with photos of both classes.
    """
    paths = _find_photos(root)
    words = {word.casefold(): word for word in positive}
    places = _drop_shared_folders([path.relative_to(root).parts[:-1] for path in paths], words)
    tops = [SPLIT_NAMES.get(place[0].casefold()) if place else None for place in places]
    inside = any(
        top and any(name.casefold() in words for name in place) for top, place in zip(tops, places, strict=True)
    )
    given = frozenset(top for top in tops if top) if inside else frozenset[Split]()
    labelled: list[LabelledPhoto] = []
    skipped: list[SkippedPhoto] = []
    for path, place, top in zip(paths, places, tops, strict=True):
        folders = place[1:] if given else place
        if given and top is None:
            skipped.append(SkippedPhoto(path, "outside the folders train, valid and test"))
        elif not folders:
            skipped.append(SkippedPhoto(path, "not in a class folder"))
        else:
            label, subclass = _label(folders, words)
            labelled.append(LabelledPhoto(path, label, readable(subclass), top if given else None))
    _check_labels(root, {photo.label for photo in labelled}, places, words)
    return Listing(root, tuple(labelled), tuple(skipped), given)


def drop_group_folders(listing: Listing, group: int | str, positive: Sequence[str]) -> Listing:
    """Return a listing in which no subclass is the name of a folder that `data.group` takes for a group's, as a site's.

    The subclass is then that of the photo without this folder: of site01/wolf/a.jpg, it is wolf.
    """
    if group in (AUTO, NONE):
        return listing
    paths = [photo.path.relative_to(listing.root) for photo in listing.labelled]
    names = [name_group_folder(path, group) for path in paths]
    words = {word.casefold(): word for word in positive}
    labelled = []
    places = _drop_shared_folders([path.parts[:-1] for path in paths], words) if any(names) else [()] * len(paths)
    for photo, name, place in zip(listing.labelled, names, places, strict=True):
        folders = tuple(folder for folder in place[photo.split is not None :] if readable(folder) != name)
        if photo.subclass == name and folders:
            photo = replace(photo, subclass=readable(_label(folders, words)[1]))
        labelled.append(photo)
    return replace(listing, labelled=tuple(labelled))


def _find_photos(root: Path) -> list[Path]:
    try:
        if not root.exists():
            raise DataError(f"there is no folder {root}: check the path of the data")
        if not root.is_dir():
            raise DataError(f"{root} is a file: name a folder that has a folder of photos for each class")
    except OSError as error:  # a name that is too long, or a folder without permission
        raise DataError(f"{root} can't be read: {(error.strerror or str(error)).lower()}") from error
    # Every link counts: a folder linked into two classes is a contradiction, not a folder of the first class.
    paths = list(find_photos(root, every_link=True))
    if paths == [root]:
        raise DataError(f"the folder {root} can't be listed: check its permissions")
    if not paths:
        raise DataError(f"there is no photo (jpg, png, webp, gif, bmp, tiff, ...) in {root}: check the path")
    return paths


def _drop_shared_folders(places: list[Place], words: Mapping[str, str]) -> list[Place]:
    """Remove the folders that all photos are in, such as the folder of an unpacked archive."""
    while all(len(place) > 1 for place in places) and len({place[0] for place in places}) == 1:
        name = places[0][0]
        if name.casefold() in {*SPLIT_NAMES, *words} or _is_wrapper(name, words):
            break
        places = [place[1:] for place in places]
    return places


def _label(place: Place, words: Mapping[str, str]) -> tuple[int, str]:
    """Return the label and the subclass of a photo in these folders."""
    for depth, name in enumerate(place):
        if name.casefold() in words:
            return 1, place[depth + 1] if depth + 1 < len(place) else words[name.casefold()]
    return 0, next((name for name in place if not _is_wrapper(name, words)), place[0])


def _is_wrapper(name: str, words: Mapping[str, str]) -> bool:
    """Check whether a folder's name only marks its content as negative: not_bear, no-bear, Not Bear, others, ..."""
    plain = re.sub(r"[\s_-]+", "_", name.casefold())
    negation, _, rest = plain.partition("_")
    return plain in ("negative", "negatives", "other", "others") or (negation in ("not", "no", "non") and rest in words)


def _check_labels(root: Path, labels: set[int], places: list[Place], words: Mapping[str, str]) -> None:
    positive = next(iter(words.values()))
    if not labels:
        raise DataError(
            f"the photos in {root} are in no class folders: put those with a {positive} into {root / positive} "
            f"and the others into {root / f'not_{positive}'}"
        )
    if labels == {1}:
        raise DataError(f"all photos in {root} are in a folder called {positive}: others are needed in another folder")
    if labels == {0}:
        names = sorted({name for place in places for name in place if name.casefold() not in SPLIT_NAMES})
        found = suggest_positive(list(map(readable, names)), words)
        raise DataError(f"no folder in {root} is called {one_of_words(words)} {found}")
