"""Checks of the sites at which photos were taken, where the source names them."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import Collection
from bearcnn.data.splits import SPLITS


def find_sites_across_splits(collection: Collection) -> Iterator[Finding]:
    """Find sites whose photos are in several splits."""
    sites: dict[str, Counter[str]] = defaultdict(Counter)
    for photo in collection.photos:
        if photo.site is not None and photo.split is not None:
            sites[photo.site][photo.split] += 1
    for site, splits in sorted(sites.items()):
        if len(splits) > 1:
            counts = ", ".join(f"{splits[split]:,} in {split}" for split in SPLITS if splits[split])
            yield Finding(f"{site}: {counts}")
