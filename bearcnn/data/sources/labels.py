"""Labels from names: which names are the positive class, which say nothing, and what to do if none is positive."""

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from bearcnn.errors import DataError

EMPTY = "empty"
"""The subclass of photos with nothing in them, in the formats that mark them."""

_BEAR = "bear"
_BEARS = frozenset(
    {"ursidae", "ursus", "helarctos", "melursus", "tremarctos", "ailuropoda"}  # the family and its living genera
    | {"euarctos", "selenarctos", "thalarctos"}  # former genera, which old lists still have
)
_ABOVE_BEARS = frozenset(("animalia", "chordata", "vertebrata", "mammalia", "carnivora", "caniformia"))
_UNKNOWN = frozenset(("unknown", "unidentified", "unidentifiable", "unclassified", "unlabelled", "unlabeled"))


def positive_words(positive: Sequence[str]) -> dict[str, str]:
    """Map the names of the positive class, in lower case, to their spelling in the configuration."""
    return {word.strip().casefold(): word for word in positive}


def is_positive(name: str, words: Collection[str]) -> bool:
    """Check whether a name is of the positive class.

    It is one of `words`, in upper or lower case. With `bear` among them, the scientific name of a bear is as well: the
    family Ursidae, or a name that begins with one of its genera, such as "Ursus arctos".
    """
    plain = name.casefold()
    return plain in words or (_BEAR in words and re.split(r"[\s_]+", plain, maxsplit=1)[0] in _BEARS)


def says_nothing(name: str, words: Collection[str]) -> bool:
    """Check whether a name leaves open if the photo is of the positive class.

    Such names are "unknown" and the like. With `bear` among the words, those of the groups that bears belong to are
    too: Mammalia, Carnivora.
    """
    plain = name.casefold()
    return plain in _UNKNOWN or (_BEAR in words and plain in _ABOVE_BEARS)


def mentions_positive(name: str, words: Collection[str]) -> bool:
    """Check whether a name has one of the words in it, as "brown bear" has; "not a bear" and "beard" don't count."""
    plain = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    found = any(re.search(rf"\b{re.escape(word)}s?\b", plain) for word in words)
    return found and plain.partition(" ")[0] not in ("no", "non", "not")


def choose_label(
    names: Sequence[str], words: Mapping[str, str], positive: Callable[[str], bool] | None = None
) -> tuple[int, str] | str:
    """Return the label and subclass of a photo that has all these names, or the reason why it has no label.

    One positive name makes the photo positive. Otherwise, a name that says nothing makes it unlabelled. An animal comes
    before `EMPTY`, and the most frequent of several subclasses counts.

    Args:
        names: what was seen, one or more; a name may be repeated.
        words: the names of the positive class (`positive_words`).
        positive: the check of a name; `is_positive` unless given.
    """
    check = positive or (lambda name: is_positive(name, words))
    if len(names) > 1:  # few photos have several
        of_class = [name for name in names if check(name)] or [name for name in names if says_nothing(name, words)]
        names = of_class or [name for name in names if name != EMPTY] or names
        name = min(set(names), key=lambda name: (-names.count(name), name))
    else:
        name = names[0]
    if check(name):
        return 1, words.get(name.casefold(), name)
    if says_nothing(name, words):
        return f"labelled {name}, perhaps {one_of_words(words)}"
    return 0, name


def check_classes(file: Path, labels: Collection[int], names: Collection[str], positive: Sequence[str]) -> None:
    """Check that a source's photos are of both classes; `names` are those of its labels.

    Raises:
        DataError: no photo is labelled, or all are of one class.
    """
    words = positive_words(positive)
    if not labels:
        raise DataError(f"no photo in {file} has a label that can be used")
    if 0 not in labels:
        raise DataError(f"all photos in {file} are labelled {one_of_words(words)}: others are needed as well")
    if 1 not in labels:
        raise DataError(f"no label in {file} is {one_of_words(words)} {suggest_positive(sorted(set(names)), words)}")


def one_of_words(words: Mapping[str, str]) -> str:
    """Return "bear or cub"."""
    return " or ".join(words.values())


def suggest_positive(names: Sequence[str], words: Mapping[str, str]) -> str:
    """Say which names there are, and how to make those like the wanted ones the positive class."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    candidates = [name for name in names if not re.match(r"(not|no|non)[\s_-]", name.casefold())] or names
    near = {name for name in candidates if any(word in name.casefold() for word in words)}
    for word in words:
        near |= set(difflib.get_close_matches(word, candidates, cutoff=0.7))
    example = json.dumps(sorted(near)[:5] or list(candidates[:1]), ensure_ascii=False)
    return f"(found: {shown}): name the positive ones, such as --set 'data.positive={example}'"
