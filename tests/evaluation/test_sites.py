"""Errors by site and condition, and what the groups of photos mean for scores."""

import json
from dataclasses import replace

import pytest

from bearcnn.evaluation.assessment import ThresholdPolicy, assess, choose_threshold, evaluate_predictions, group_errors
from bearcnn.evaluation.intervals import proportion
from bearcnn.evaluation.predictions import LabelledPrediction, as_clusters, read_predictions, write_predictions
from bearcnn.evaluation.sites import explain_sites, site_errors
from bearcnn.runs import Run


def photo(label: int, probability: float, **known: object) -> LabelledPrediction:
    made = LabelledPrediction(f"{label}-{probability}", "test", label, "x", "", probability, False)
    return replace(made, **known)  # type: ignore[arg-type]  # the fields that a test is about


def site(name: str, right: int, missed: int, alarms: int, seen: bool | None = None) -> list[LabelledPrediction]:
    answers = [(1, 0.9), (0, 0.1)] * right + [(1, 0.2)] * missed + [(0, 0.8)] * alarms
    return [photo(label, value, site=name, seen=seen, group=name) for label, value in answers]


def test_the_surely_worst_site_comes_first_not_the_one_with_a_single_photo() -> None:
    photos = [*site("calm", 20, 0, 0), *site("lone", 0, 1, 0), *site("bad", 5, 8, 2), photo(1, 0.1)]
    rows = site_errors(photos, 0.5)
    assert [row.site for row in rows] == ["bad", "lone", "calm"]
    bad = rows[0]
    assert (bad.photos, bad.bears, bad.missed, bad.false_alarms, bad.seen) == (20, 13, 8, 2, None)
    assert bad.rate == proportion(10, 20)


def test_seen_and_unseen_sites_and_day_and_night_by_the_clock_are_told_apart() -> None:
    photos = [*site("old", 4, 0, 0, seen=True), *site("new", 2, 2, 1, seen=False)]
    rows = {(row.name, row.label): (row.photos, row.wrong) for row in group_errors(photos, 0.5)}
    assert rows["at sites trained on", 1] == (4, 0) and rows["at unseen sites", 1] == (4, 2)
    assert rows["at sites trained on", 0] == (4, 0) and rows["at unseen sites", 0] == (3, 1)
    timed = [photo(1, 0.9, taken="2024-05-01T05:59:59"), photo(1, 0.9, taken="2024-05-01T06:00:00+02:00")]
    timed += [photo(1, 0.1, taken="2024-05-01T18:00:00"), photo(1, 0.1)]
    rows = {(row.name, row.label): (row.photos, row.wrong) for row in group_errors(timed, 0.5)}
    assert rows["taken 18:00 to 6:00", 1] == (2, 1) and rows["taken 6:00 to 18:00", 1] == (1, 0)
    one = group_errors(timed[1:2], 0.5)
    assert [row.name for row in one] == ["x"], "one condition alone is no comparison"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ((True, True), "every one of the 2 sites was trained on: expect worse at a new camera"),
        ((True, False), None),
        ((False, False), None),
        ((None, None), None),
    ],
)
def test_it_says_when_only_seen_sites_were_evaluated(seen: tuple[bool | None, bool | None], said: str | None) -> None:
    photos = [*site("a", 2, 0, 0, seen=seen[0]), *site("b", 2, 0, 0, seen=seen[1])]
    notes = explain_sites(photos)
    assert [note for note in notes if "new camera" in note] == ([said] if said else [])
    assert notes[-1].startswith("the 8 photos are of 2 groups") and notes[-1].endswith("with so few groups are rough")


def test_an_assessment_has_sites_notes_and_wider_intervals_and_none_of_it_without_groups() -> None:
    photos = [each for number in range(12) for each in site(f"s{number}", 8, number % 3 * 2, 0, seen=False)]
    choice = choose_threshold(ThresholdPolicy(), [], 0.5)
    found = assess(photos, "test", choice, ThresholdPolicy(), trained_on="test")
    lone = assess([replace(each, group=None) for each in photos], "test", choice, ThresholdPolicy(), trained_on="test")
    assert len(found.sites) == 12 and any("12 groups" in note for note in found.notes)
    assert not any("groups" in note for note in lone.notes)
    for name in ("recall", "accuracy", "roc_auc"):
        wide, narrow = found.evaluation.estimates[name], lone.evaluation.estimates[name]
        assert wide.value == narrow.value
        assert wide.low < narrow.low  # type: ignore[operator]
    assert found.point.recall == found.evaluation.estimates["recall"]
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["sites"][0] == {
        "site": "s11",
        "seen": False,
        "photos": 20,
        "bears": 12,
        "missed": 4,
        "false_alarms": 0,
        "rate": content["sites"][0]["rate"],
    }
    assert content["clusters"] == 12 and "clusters" not in lone.to_json()


def test_photos_of_which_none_hang_together_are_scored_as_ever() -> None:
    photos = [photo(1, 0.9), photo(1, 0.9), photo(0, 0.2, group="alone")]
    assert as_clusters(photos) is None
    assert "clusters" not in evaluate_predictions(photos, 0.5).to_json()
    pair = [*photos, photo(0, 0.3, group="alone")]
    clusters = as_clusters(pair)
    assert clusters is not None and clusters.tolist() == [0, 1, 2, 2]


def test_a_line_has_only_what_is_known_and_old_lines_are_read(tmp_path) -> None:
    run = Run(tmp_path)
    old = photo(1, 0.5)
    write_predictions(run, [old, photo(0, 0.5, site="s", seen=True, group="s", taken="2024-05-01T12:00:00")])
    lines = run.predictions_file.read_text().splitlines()
    assert list(json.loads(lines[0])) == ["path", "split", "label", "subclass", "digest", "probability", "grey"]
    assert len(json.loads(lines[1])) == 11
    assert read_predictions(run)[0] == old
