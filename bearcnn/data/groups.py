"""Groups: photos that must be in one split, because a model that has seen one of them half knows the others.

The main group is the site, where the source tells it, or what `data.group` says; else camera and day by EXIF. Photos of
one sequence or burst, exact copies and near copies are kept together whatever the main group: a group is all that hangs
together by any of these.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

from bearcnn.data.bursts import find_bursts
from bearcnn.data.group_names import AUTO, NONE, name_group
from bearcnn.data.names import readable
from bearcnn.data.related import Related
from bearcnn.data.splits import SPLITS, Example, Split, cut_folds, split_examples
from bearcnn.errors import DataError
from bearcnn.registry import load

BURST_GAP = timedelta(minutes=2)
"""The longest pause within a burst, as camera-trap programs have it."""

SITE, DAY, EVENT, COPY = "site", "camera and day", "bursts and near copies", "exact copies"
"""The words for what photos are grouped by, but for those of `data.group`."""

_SHARED = {
    SITE: "their site or a near copy",
    DAY: "their camera's day or a near copy",
    EVENT: "their burst or a near copy",
    COPY: "an exact copy",
}
_SHARED_GROUP = "their group or a near copy"

_WORDS: dict[Split, str] = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class Grouping:
    """The property that photos are grouped by, and remarks on it."""

    by: str
    warnings: Mapping[str, str] = field(default_factory=dict)  # by the split that each is about, or else "split"

    @property
    def is_main(self) -> bool:
        """Whether groups are sites, or what `data.group` says: large, and of all sorts of photos."""
        return self.by not in (DAY, EVENT, COPY)

    def without(self, split: Split) -> "Grouping":
        """Return this grouping without the warning about a split, which is none any more."""
        return replace(self, warnings={about: text for about, text in self.warnings.items() if about != split})


@dataclass(frozen=True, slots=True)
class _Plan:
    """One way to group the examples."""

    by: str
    examples: list[Example]
    relations: Sequence[Sequence[Hashable]]  # each with a value per example: those with the same hang together


def describe_grouping(by: str, counts: Mapping[str, int]) -> str | None:
    """Say what photos are grouped by and how many groups there are, such as `split by site: 40 groups, 31 train / ...`.

    `counts` are those of `Dataset.count_groups`. None where no photos but exact copies hang together.
    """
    if not counts["of_several"] or by == COPY:
        return None
    if by == EVENT:
        photos, several = counts["photos_of_several"], counts["of_several"]
        return f"kept together: {photos:,} photos in {several:,} bursts or sets of near copies"
    found = [(split, counts[split]) for split in SPLITS if split in counts]
    whole = sum(number for _, number in found) == counts["total"]
    joined = f"{counts['sites']:,} sites in " if 0 < counts["sites"] != counts["total"] else ""
    line = f"by {by}: {joined}{counts['total']:,} groups"
    if len(found) < 2:
        return f"grouped {line}"
    return f"{'split' if whole else 'grouped'} {line}, {' / '.join(f'{number:,} {split}' for split, number in found)}"


def split_by_group(
    root: Path,
    examples: Sequence[Example],
    related: Related | None,
    setting: int | str,
    shares: Mapping[Split, float],
    seed: int,
    classes: tuple[str, str],
) -> tuple[list[Example], Grouping]:
    """Group the examples, and divide those for training into splits of these shares; without shares, only group them.

    Where the source's sites or `data.group` decide, a division that leaves a split without a class is refused. Where
    the photos themselves tell groups, these then become smaller, with a warning.

    Args:
        root: the folder that paths are relative to.
        examples: with `split`, `site`, `sequence` and `taken`.
        related: what the photos tell; None if photos are not grouped.
        setting: `data.group`.
        shares: of the photos of each split that is made.
        seed: of the splits.
        classes: the names of both.

    Raises:
        DataError: a split would have no photo of a class.
    """
    plans = _plan(root, examples, related, setting)
    strictest = next(plans)
    for plan in chain([strictest], plans):
        train = [each for each in plan.examples if each.split == "train"]
        made = _split(train, plan.by, shares, seed)
        if made is not None:
            break
    else:
        if plan.by != COPY:
            raise DataError(_explain(plan, shares, classes))
        made = split_examples(train, shares, seed)  # for `check_splits` to say what is missing
    splits = {each.row: made.get(each.row, each.split) for each in examples}
    found = [replace(each, split=splits[each.row]) for each in plan.examples]
    warnings: dict[str, str] = {}
    if plan is not strictest:
        instead = "without near copies" if plan.by == strictest.by else f"by {plan.by}"
        warnings["split"] = f"{_explain_briefly(strictest, shares, classes)}; split {instead} instead"
    warnings |= _find_shared(strictest, [splits[each.row] for each in strictest.examples])
    return found, Grouping(plan.by, warnings)


def cut_by_group(
    examples: Sequence[Example], grouping: Grouping | None, folds: int, seed: int, classes: tuple[str, str]
) -> dict[int, int]:
    """Assign rows to folds, 0 to `folds` - 1, stratified by label and subclass, with no group in two folds.

    Raises:
        DataError: the groups don't give photos of both classes to each fold.
    """
    main = grouping is not None and grouping.is_main
    if not main and _are_small(examples, [1 / folds]):
        return cut_folds(examples, folds, seed, classes)
    found = load("bearcnn.data.stratified_groups:deal")(examples, folds, seed)
    if found is None:
        by = grouping.by if grouping else EVENT
        numbers = [len({each.unit for each in examples if each.label == label}) for label in (0, 1)]
        label = numbers.index(min(numbers))
        raise DataError(
            f"{folds} folds by {by} need photos of each class in {folds} groups or more, of like size, and "
            f"{classes[label]} is in {numbers[label]}: take fewer folds, or cut whatever the group, which flatters the "
            "scores (--set data.group=none)"
        )
    return {each.row: int(fold) for each, fold in zip(examples, found, strict=True)}


def _plan(root: Path, examples: Sequence[Example], related: Related | None, setting: int | str) -> Iterator[_Plan]:
    """Yield the ways to group the examples, the strictest first; the next ones are for where it can't be split."""
    copies = [each.digest for each in examples]
    if related is None or setting == NONE:
        yield _Plan(COPY, list(examples), [copies])
        return
    names = [name_group(each.path.relative_to(root), setting) for each in examples]
    by = SITE if setting == AUTO else f"data.group = {setting}"
    if setting == AUTO:
        names = [each.site for each in examples]
    cameras = [each.site or name or related.camera[each.row] for each, name in zip(examples, names, strict=True)]
    places = [
        (camera or str(each.path.parent), each.taken.replace(tzinfo=None) if each.taken else None)
        for each, camera in zip(examples, cameras, strict=True)
    ]
    bursts = find_bursts(places, BURST_GAP)
    sequences = [each.sequence and (each.site, each.sequence) for each in examples]
    near = [related.near[each.row] for each in examples]
    events: list[Sequence[Hashable]] = [copies, sequences, bursts]
    if any(names):
        yield from (_join(root, by, examples, names, relations) for relations in ([*events, near], events))
        return
    days = [
        f"{related.camera[each.row]}, {each.taken:%Y-%m-%d}" if each.taken and related.camera[each.row] else None
        for each in examples
    ]
    if 2 * sum(day is not None for day in days) > len(examples):
        yield from (_join(root, DAY, examples, days, relations) for relations in ([*events, near], events))
    yield from (_join(root, EVENT, examples, (), relations) for relations in ([*events, near], events))
    yield _Plan(COPY, list(examples), [copies])


def _join(
    root: Path,
    by: str,
    examples: Sequence[Example],
    names: Sequence[str | None],
    relations: Sequence[Sequence[Hashable]],
) -> _Plan:
    """Group all that hangs together by the names or a relation; each gives a value per example, None for no relation.

    A group has the first of the names in it, else the path of its first photo.
    """
    parent = list(range(len(examples)))

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for relation in (names, *relations):
        first: dict[Hashable, int] = {}
        for row, value in enumerate(relation):
            if value is not None:
                one, other = find(first.setdefault(value, row)), find(row)
                parent[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(len(examples)):
        members[find(row)].append(row)
    grouped = list(examples)
    for rows in members.values():
        named = [name for row in rows if names and (name := names[row])]
        if not named and len({examples[row].digest for row in rows}) == 1:
            continue
        name = min(named) if named else min(readable(examples[row].path.relative_to(root).as_posix()) for row in rows)
        for row in rows:
            grouped[row] = replace(examples[row], group=name)
    return _Plan(by, grouped, [names, *relations] if names else relations)


def _split(examples: Sequence[Example], by: str, shares: Mapping[Split, float], seed: int) -> dict[int, Split] | None:
    """Assign rows to splits; None if one would have no photo of a class."""
    if not shares:
        return {}
    if not Grouping(by).is_main and _are_small(examples, list(shares.values())):
        # A photo added later moves few others, and few groups move few photos.
        made = split_examples(examples, shares, seed)
    else:
        parts = load("bearcnn.data.stratified_groups:divide")(examples, list(shares.values()), seed)
        if parts is None:
            return None
        names: list[Split] = ["train", *shares]
        made = {each.row: names[part] for each, part in zip(examples, parts, strict=True)}
    found = {(made[each.row], each.label) for each in examples}
    return made if len(found) == 2 * (len(shares) + 1) else None


def _are_small(examples: Sequence[Example], shares: Sequence[float]) -> bool:
    """Check that no group of several pictures is more than half of a split's photos of a class; a pair never is."""
    totals = Counter(each.label for each in examples)
    sizes = Counter((each.group, each.label) for each in examples if each.group is not None)
    return all(size <= max(2, min(shares) * totals[label] / 2) for (_, label), size in sizes.items())


def _find_shared(plan: _Plan, splits: Sequence[Split]) -> dict[str, str]:
    """Return a warning for each held-out split with photos that are related to training photos."""
    rows: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for row, split in enumerate(splits):
        rows[split].append(row)
    trained = [{relation[row] for row in rows["train"]} - {None} for relation in plan.relations]
    warnings: dict[str, str] = {}
    for split in ("valid", "test"):
        shared = sum(
            any(relation[row] in seen for relation, seen in zip(plan.relations, trained, strict=True))
            for row in rows[split]
        )
        if shared:
            warnings[split] = (
                f"{shared:,} of {len(rows[split]):,} {_WORDS[split]} photos have "
                f"{_SHARED.get(plan.by, _SHARED_GROUP)} among the training photos: the scores flatter"
            )
    return warnings


def _explain(plan: _Plan, shares: Mapping[Split, float], classes: tuple[str, str]) -> str:
    """Say why a division by group was refused, and what to do."""
    group = "site" if plan.by == SITE else "group"
    choices = [f"add photos of other {group}s"]
    if "test" in shares and "valid" in shares:
        choices.append("make no test split (--set data.test_share=0)")
    choices.append(f"split whatever the {group}, which flatters the scores (--set data.group=none)")
    return f"{_explain_briefly(plan, shares, classes)}; {', '.join(choices[:-1])}, or {choices[-1]}"


def _explain_briefly(plan: _Plan, shares: Mapping[Split, float], classes: tuple[str, str]) -> str:
    """Say which class is in too few groups, or that no division of the groups works."""
    group = "site" if plan.by == SITE else "group"
    splits = [_WORDS[split] for split in ("valid", "test") if split in shares]
    for label in (1, 0):
        of_class = [each for each in plan.examples if each.split == "train" and each.label == label]
        names = list({each.unit: each.group or readable(each.path.name) for each in of_class}.values())
        if len(names) == 1:
            return (
                f"all photos of {classes[label]} are of one {group}, {names[0]}: a split by {plan.by} leaves none for "
                f"{' and '.join(splits)}"
            )
        if len(names) <= len(splits):
            return (
                f"the photos of {classes[label]} are of {len(names)} {group}s, {' and '.join(names)}: a split by "
                f"{plan.by} needs {len(splits) + 1}, for training, {' and '.join(splits)}"
            )
    return f"no split by {plan.by} gives photos of both classes to training, {' and '.join(splits)}"
