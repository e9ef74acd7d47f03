"""What a collection is read from."""

from tests.checks.conftest import fill


def test_a_csv_file_is_read_by_the_columns_that_training_would_read(tmp_path, collect):
    paths = fill(tmp_path / "photos", 18)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name},{path.parent.parent.name}" for path in paths]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["File,Species,split", *rows]))
    collection = collect(file, "data.columns.filepath=File", "data.columns.label=Species")
    assert collection.problem is None
    assert {photo.label for photo in collection.photos} == {0, 1}
    assert len(collection.photos) == len(collection.dataset.examples) == 18


def test_a_photo_that_the_list_says_nothing_about_is_not_opened(tmp_path, collect):
    paths = fill(tmp_path / "photos", 18)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name if place else ''}" for place, path in enumerate(paths)]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["filepath,label", *rows]))
    assert paths[0] not in [photo.path for photo in collect(file).photos]
