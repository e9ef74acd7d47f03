"""Groups of photos to look at."""

from dataclasses import replace

from bearcnn.checks.groups import count_groups, group_photos


def test_counts_add_up_and_unused_photos_have_a_group(messy_collection):
    counts = count_groups(messy_collection)
    numbers = [number for split in counts.values() for label in split.values() for number in label.values()]
    assert sum(numbers) == len(messy_collection.photos)
    assert list(counts) == ["train", "valid", "not used"]
    assert counts["train"]["not_bear"]["fox"] == sum(
        photo.split == "train" and photo.label == 0 for photo in messy_collection.photos
    )
    assert counts["not used"]["unlabelled"] == {"": 1}


def test_sites_are_groups_where_the_source_names_them(messy_collection):
    photos = tuple(replace(photo, site="river") for photo in messy_collection.photos)
    assert {group.name for group in group_photos(replace(messy_collection, photos=photos))} == {"river"}


def test_a_sample_follows_from_the_seed(messy_collection):
    group = max(group_photos(messy_collection), key=lambda group: len(group.photos))
    assert group.sample(5, 0) == group.sample(5, 0)
    assert group.sample(5, 0) != group.sample(5, 1)
    assert len(group.sample(5, 0)) == 5
    assert group.sample(1000, 0) == list(group.photos)
