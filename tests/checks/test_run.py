"""All checks on a collection with a fault of each kind."""

from dataclasses import replace

import pytest

from bearcnn.checks import CHECKS
from bearcnn.checks.base import Check, Finding
from bearcnn.checks.run import CheckResult, run_checks
from bearcnn.errors import BearcnnError, DataError
from tests.checks.conftest import fill

LABELS = {"suspicious-labels"}  # tests/checks/test_labels.py


@pytest.fixture
def result(messy, collect) -> CheckResult:
    return run_checks(collect(messy), without=LABELS)


def found(result: CheckResult, name: str) -> list[tuple[str | None, str | None]]:
    findings = next((each.findings for each in result.found if each.check.name == name), ())
    return [(each.photo.name if each.photo else None, each.related.name if each.related else None) for each in findings]


def test_every_planted_fault_is_found_and_nothing_else(result):
    def names(check: str) -> set[str | None]:
        return {name for name, _ in found(result, check)}

    assert names("unreadable") == {"train/fox/003.png", "train/fox/page.jpg"}
    assert found(result, "copies-across-splits") == [("train/bear/002.png", "valid/bear/copy.png")]
    assert found(result, "copies") == [("train/bear/twice.png", "train/bear/004.png")]
    assert found(result, "copies-of-other-label") == [
        ("train/bear/008.png", "train/fox/contradiction.png"),
        ("train/fox/contradiction.png", "train/bear/008.png"),
    ]
    assert found(result, "near-copies-of-other-label") == [
        ("train/bear/010.png", "train/fox/smaller.jpg"),
        ("train/fox/smaller.jpg", "train/bear/010.png"),
    ]
    assert found(result, "near-copies-across-splits") == [("train/bear/014.png", "valid/bear/smaller.jpg")]
    assert found(result, "near-copies") == [("train/fox/again.jpg", "train/fox/005.png")]
    assert names("blank") == {"train/bear/black.png", "train/bear/blank.png"}
    assert names("dark") == {"train/bear/dark.png"}
    assert names("overexposed") == {"train/fox/bright.png"}
    assert names("tiny") == {"train/bear/tiny.png"}
    assert names("wrong-suffix") == {"train/fox/webp.jpg"}
    assert names("unlabelled") == {"outside.png"}
    assert names("clock") == {f"train/bear/time{index}.jpg" for index in range(4)}
    assert {each.check.name for each in result.found if not each.photos} == {"balance", "certainty"}


def test_the_verdict_counts_what_to_look_at_first(result):
    assert result.verdict() == "49 photos: usable; 10 things to look at first"
    notes = {each.check.name for each in result.found} - {each.check.name for each in result.problems}
    assert notes == {"certainty", "dark", "overexposed", "wrong-suffix", "copies", "near-copies"}


def test_a_pair_found_from_both_sides_is_shown_once(result):
    pair = next(each for each in result.found if each.check.name == "copies-of-other-label")
    assert pair.photos == 2
    assert [each.photo.name for each in pair.distinct() if each.photo] == ["train/bear/008.png"]


def test_json_has_every_finding_with_its_label(result):
    content = result.to_json()
    assert len(content["findings"]) == sum(len(each.findings) for each in result.found)
    twin = next(each for each in content["findings"] if each["check"] == "copies-of-other-label")
    assert twin == {
        "check": "copies-of-other-label",
        "severity": "error",
        "path": "train/bear/008.png",
        "reason": "labelled bear, the other not_bear",
        "related": "train/fox/contradiction.png",
        "label": "bear",
    }
    assert content["summary"]["counts"]["train"]["bear"] > 0
    assert content["summary"]["first"] == "1970-01-01T05:00:00"


def test_a_clean_collection_has_nothing_to_fix(tmp_path, collect):
    fill(tmp_path / "photos", 12)
    collection = collect(tmp_path / "photos")
    assert run_checks(collection, ["unreadable", "near-copies", "clock", "blank"]).verdict() == (
        "12 photos: usable; nothing to fix"
    )


def test_photos_without_labels_are_checked_for_all_but_labels(messy, collect, tmp_path):
    for number, photo in enumerate(sorted((messy / "train/fox").iterdir())):
        target = tmp_path / "card" / f"{number}{photo.suffix}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(photo.read_bytes())
    result = run_checks(collect(tmp_path / "card"))
    names = {each.check.name for each in result.found}
    assert {"no-labels", "unreadable", "near-copies", "wrong-suffix"} <= names
    assert not names & {"untrainable", "unlabelled", "copies-of-other-label"}
    assert set(result.unchecked) == {"suspicious-labels", "certainty", "giveaways"}
    assert result.verdict().startswith("16 photos, checked without labels; ")


def test_one_class_alone_is_checked_too(tmp_path, collect):
    fill(tmp_path / "photos", 6)
    result = run_checks(collect(tmp_path / "photos/train/fox"))
    assert result.verdict() == "2 photos, checked without labels; nothing to fix"
    (tmp_path / "photos/train/fox/005.png").unlink()
    assert run_checks(collect(tmp_path / "photos/train/fox")).verdict().startswith("1 photo, checked")


def test_a_collection_that_training_refuses_is_checked_with_its_reason(tmp_path, collect):
    paths = fill(tmp_path / "photos", 12)
    for path in paths:
        if "valid" in path.parts and path.parent.name == "bear":
            path.unlink()
    (tmp_path / "photos/valid/bear").rmdir()
    (tmp_path / "photos/train/bear/broken.jpg").write_bytes(b"x")
    result = run_checks(collect(tmp_path / "photos"), without=LABELS)
    assert result.verdict().startswith("11 photos: not usable for training yet; ")
    assert {"untrainable", "unreadable"} <= {each.check.name for each in result.found}


def test_nothing_to_check_is_an_error(tmp_path, collect):
    with pytest.raises(DataError, match="there is no folder"):
        collect(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no photo"):
        collect(tmp_path / "empty")


def test_an_unknown_check_is_refused_with_the_nearest(messy, collect):
    with pytest.raises(BearcnnError, match="did you mean near-copies"):
        run_checks(collect(messy), ["near-copy"])


def test_a_check_from_outside_is_a_function_and_a_row(messy, collect):
    CHECKS.register(
        Check(
            "png",
            "note",
            "PNG files",
            "",
            lambda collection: (Finding("PNG", each) for each in collection.photos if each.path.suffix == ".png"),
        )
    )
    try:
        result = run_checks(collect(messy), ["png"])
    finally:
        CHECKS.unregister("png")
    assert result.found[0].photos == len(list(messy.rglob("*.png")))


def test_a_check_that_cannot_work_leaves_the_others(messy, collect):
    def fail(collection):
        raise DataError("not today")

    CHECKS.register(Check("failing", "note", "nothing", "", fail), first=True)
    try:
        result = run_checks(collect(messy), ["failing", "tiny"])
    finally:
        CHECKS.unregister("failing")
    assert result.unchecked == {"failing": "not today"}
    assert [each.check.name for each in result.found] == ["tiny"]


def test_each_check_has_words_advice_or_reasons_and_a_finder_that_exists(messy, collect):
    collection = replace(collect(messy), dataset=None)
    for check in CHECKS:
        assert check.words and not check.words.endswith(".")
        assert check.name in run_checks(collection, [check.name]).unchecked or not check.of_labels
