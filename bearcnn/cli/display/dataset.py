"""Display of photos: their numbers by split and class, those that were skipped, and the pixels that are kept."""

import json
from collections import Counter
from typing import TYPE_CHECKING

from bearcnn.cli.display.console import err, make_table, note, out, plain
from bearcnn.data.sources.labels import mentions_positive, positive_words

if TYPE_CHECKING:
    from bearcnn.data.cache_folder import CacheEntry
    from bearcnn.data.dataset import Dataset

MOST_SKIPPED = 5
"""Skipped photos that are named; all of them are in dataset.json."""


def show_dataset(dataset: "Dataset", builtin: bool = False) -> None:
    """Show the number of photos by split and class, and the skipped ones; `builtin` for the built-in scenes."""
    if builtin:
        note("[bold yellow]using the built-in drawn scenes, not real photos[/]; for your own: [bold]--data FOLDER[/]")
    negative, positive = dataset.classes
    table = make_table("photos", plain(positive), plain(negative), "total", numbers=3)
    for split in ("train", "valid", "test"):
        labels = [example.label for example in dataset.select(split)]
        if labels:
            counts = (sum(labels), len(labels) - sum(labels), len(labels))
            table.add_row(split, *(f"{count:,}" for count in counts))
    err.print(table)
    if groups := dataset.describe_groups():
        note(plain(groups))
    for warning in dataset.grouping.warnings.values() if dataset.grouping else ():
        note(f"[yellow]{plain(warning)}[/]")
    if dataset.skipped:
        note(f"[yellow]skipped: {len(dataset.skipped):,} photos[/]")
        unread = Counter(skipped.reason for skipped in dataset.skipped if skipped.unread)
        shown = [f"  {count:,} photos: {plain(reason)}" for reason, count in unread.most_common()]
        shown += [f"  {plain(str(each.path))}: {plain(each.reason)}" for each in dataset.skipped if not each.unread]
        for line in shown[:MOST_SKIPPED]:
            note(line)
        if len(shown) > MOST_SKIPPED or unread:
            more = f"and {len(shown) - MOST_SKIPPED:,} more, " if len(shown) > MOST_SKIPPED else ""
            note(f"  {more}each listed with its reason in the run's dataset.json")
    _note_doubtful(dataset)


def _note_doubtful(dataset: "Dataset") -> None:
    """Name the negative subclasses that may be positive ones, such as "brown bear" where only "bear" is positive."""
    words = positive_words(dataset.positive)
    counts = Counter(example.subclass for example in dataset.examples if not example.label)
    doubtful = {name: count for name, count in sorted(counts.items()) if mentions_positive(name, words)}
    if doubtful:
        negative, positive = dataset.classes
        names = ", ".join(f"{name} ({count:,})" for name, count in doubtful.items())
        example = json.dumps([*dataset.positive, *doubtful], ensure_ascii=False)
        note(
            f"[yellow]counted as {plain(negative)}: {plain(names)}[/]; "
            f"if these are {plain(positive)}: --set 'data.positive={plain(example)}'"
        )


def show_caches(entries: "list[CacheEntry]") -> None:
    """Show what is cached: decoded pixels, and pretrained bodies' maps of them."""
    table = make_table("folder", "what", "last used", "photos", "side", "MB", numbers=3)
    table.columns[0].overflow = "fold"  # a path that is cut short is of no use
    for entry in entries:
        table.add_row(
            plain(str(entry.source or "damaged")),
            entry.kind,
            f"{entry.last_used:%Y-%m-%d %H:%M}",
            f"{entry.photos:,}",
            f"{entry.size} px",
            f"{entry.bytes / 1e6:.1f}",
        )
    out.print(table)
