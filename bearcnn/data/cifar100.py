"""A choice of CIFAR-100's photos: its bears, and photos of other classes.

Half of the others are the animals most like a bear, the nearest first: they teach the difference. The other half is
spread evenly over everything else (people, trees, empty land, things): a network that has seen only bears and big cats
gives false alarms on nearly everything else. Measured with a small network, 408 bears and 384 others, five seeds, at
the threshold that finds 90% of the bears: with the nearest animals alone, 70% of pictures of forests and mountains gave
false alarms, with half and half 49%; of other mammals 62% and 55%, of big cats and wolves 21% and 30%.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

Photos = dict[str, dict[str, list[Path]]]  # split -> class -> its photos

BEAR = "bear"
_VALID_SHARE = 0.2  # of CIFAR-100's train split; its test split is unchanged

LIKE_BEARS = (
    ("leopard", "lion", "tiger", "wolf"),
    ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    ("fox", "porcupine", "possum", "raccoon", "skunk"),
    ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    ("beaver", "dolphin", "otter", "seal", "whale"),
)
"""CIFAR-100's mammals by its own superclasses, the bear's own first: large carnivores, large omnivores and herbivores,
medium, small and aquatic mammals."""


def find_photos(folder: Path) -> Photos:
    """List CIFAR-100's photos in {train,test}/<superclass>/<class>; the level of the superclasses may be missing."""
    photos: Photos = {"train": defaultdict(list), "test": defaultdict(list)}
    for path in folder.rglob("*.png"):
        # The first such folder is the split: CIFAR-100 also has a class "train".
        split = next((part for part in path.relative_to(folder).parts if part in photos), None)
        if split is not None:
            photos[split][path.parent.name].append(path)
    return photos


def divide(photos: Photos, seed: int) -> Photos:
    """Divide photos into train, valid and test, in an order that depends on the seed and on names alone.

    A photo's place is the hash of its name: the order in which a disk lists the photos makes no difference.
    """

    def place(*names: str) -> bytes:
        return hashlib.blake2b("/".join((str(seed), *names)).encode()).digest()

    divided: Photos = {"train": {}, "valid": {}, "test": {}}
    for split, classes in photos.items():
        for name in sorted(classes, key=lambda name: place(split, name)):
            paths = sorted(classes[name], key=lambda path: place(split, name, path.name))
            valid = round(len(paths) * _VALID_SHARE) if split == "train" else 0
            divided[split][name] = paths[valid:]
            if split == "train":
                divided["valid"][name] = paths[:valid]
    return divided


def choose(classes: Mapping[str, list[Path]], negatives_per_bear: int) -> dict[str, list[Path]]:
    """Choose all bears of a split, and the first photos of each other class, as many as `share_out` says."""
    room = {name: len(paths) for name, paths in classes.items() if name != BEAR}
    shares = share_out(room, negatives_per_bear * len(classes[BEAR]))
    return {name: paths if name == BEAR else paths[: shares[name]] for name, paths in classes.items()}


def share_out(room: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the number of photos to take of each class, `total` in all; `room` is the number that each class has.

    Half come from the classes most like bears; each group is used up before the next. The rest is spread evenly over
    all photos left. A remainder goes to the first classes in `room`.
    """
    taken = Counter(dict.fromkeys(room, 0))
    for group, limit in [*((group, total - total // 2) for group in LIKE_BEARS), (tuple(room), total)]:
        taken.update(_spread({name: room[name] - taken[name] for name in room if name in group}, limit - taken.total()))
    return dict(taken)


def _spread(room: Mapping[str, int], total: int) -> dict[str, int]:
    """Give all classes the same number until the total is reached or all are full."""
    taken = dict.fromkeys(room, 0)
    while total > 0 and (unfilled := [name for name in room if taken[name] < room[name]][:total]):
        share = min(total // len(unfilled), *(room[name] - taken[name] for name in unfilled))
        for name in unfilled:
            taken[name] += share
        total -= share * len(unfilled)
    return taken


def count_photos(photos: Photos) -> tuple[int, int]:
    """Return the numbers of bears and of others."""
    numbers = [(name == BEAR, len(paths)) for classes in photos.values() for name, paths in classes.items()]
    return sum(number for bear, number in numbers if bear), sum(number for bear, number in numbers if not bear)
