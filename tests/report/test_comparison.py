import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bearcnn.errors import BearcnnError
from bearcnn.evaluation.formats import decimal
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.metrics import compare, score
from bearcnn.evaluation.predictions import (
    as_arrays,
    in_split,
    read_predictions,
    write_predictions,
)
from bearcnn.report.comparison import compare_runs, find_changes, judge_difference, render_comparison, write_comparison
from bearcnn.runs import Run
from tests.helpers.pages import Page


@pytest.fixture
def other(trained, tmp_path: Path) -> Run:
    """A run with other answers to the same photos, in another order."""
    shutil.copytree(trained[0].directory, tmp_path / "other")
    run = Run(tmp_path / "other")
    random = np.random.default_rng(1).random
    scores = [replace(each, probability=random()) for each in read_predictions(run)]
    write_predictions(run, scores[::-1])
    return run


def test_runs_are_compared_photo_by_photo(trained, other: Run) -> None:
    first = sorted(in_split(read_predictions(trained[0]), "test"), key=lambda photo: (photo.digest, photo.label))
    second = sorted(in_split(read_predictions(other), "test"), key=lambda photo: (photo.digest, photo.label))
    found = compare_runs([trained[0], other])
    assert (found.split, found.unshared, found.changed) == ("test", 0, {})
    labels, before = as_arrays(first)
    assert found.differences == [compare(labels, before, as_arrays(second)[1])]
    assert found.values == [score(labels, before), score(labels, as_arrays(second)[1])]


def test_photos_that_only_one_run_is_judged_on_are_not_used(trained, other: Run) -> None:
    scores = read_predictions(other)
    dropped = in_split(scores, "test")[0]
    write_predictions(other, [photo for photo in scores if photo != dropped])
    found = compare_runs([trained[0], other])
    assert found.unshared == 1
    assert dropped.digest not in {photo.digest for photo in found.predictions[0]}


def test_runs_on_other_photos_cant_be_compared(trained, other: Run) -> None:
    write_predictions(other, [replace(each, digest=f"other{each.digest}") for each in read_predictions(other)])
    with pytest.raises(BearcnnError, match="share no test photos"):
        compare_runs([trained[0], other])


def test_the_page_is_whole_and_loads_nothing(trained, other: Run, tmp_path: Path) -> None:
    text = render_comparison(compare_runs([trained[0], other, trained[0]]))
    tags = Page(text).tags
    assert all(link.startswith(("data:", "#")) for _, a in tags for n, link in a.items() if n in ("src", "href"))
    assert "C is not shown to differ" in " ".join(text.split())
    page = tmp_path / "compare.html"
    assert write_comparison([trained[0], other], page) == page
    with pytest.raises(BearcnnError, match="exists already"):
        write_comparison([trained[0], other], page)


def test_changes_are_the_keys_that_differ() -> None:
    one = {"model": {"pooling": "max", "widths": [8, 16]}, "train": {"lr": 1e-3}}
    two = {"model": {"pooling": "avg", "widths": [8, 16]}, "train": {"lr": 1e-3, "new": True}}
    assert find_changes([one, two]) == {"model.pooling": ["max", "avg"], "train.new": [None, True]}


@pytest.mark.parametrize(
    ("estimate", "higher", "said"),
    [
        (Estimate(0.1, 0.05, 0.2), True, "better"),
        (Estimate(0.1, 0.05, 0.2), False, "worse"),
        (Estimate(-0.1, -0.2, -0.05), False, "better"),
        (Estimate(0.1, -0.05, 0.2), True, "can't tell"),
        (Estimate(0.0, 0.0, 0.0), True, "can't tell"),
        (Estimate(None, None, None), True, "can't tell"),
    ],
)
def test_a_difference_counts_when_its_interval_leaves_0_out(estimate: Estimate, higher: bool, said: str) -> None:
    assert judge_difference(estimate, higher) == said


def test_photos_that_two_runs_call_differently_are_shown_with_both_answers(trained, other: Run) -> None:
    found = compare_runs([trained[0], other])
    first, second = found.predictions
    differ = [(a, b) for a, b in zip(first, second, strict=True) if (a.probability >= 0.5) != (b.probability >= 0.5)]
    (disagreements,) = found.disagreements
    assert disagreements.first_right + disagreements.second_right == len(differ) > 0
    assert disagreements.first_right == sum((a.probability >= 0.5) == (a.label == 1) for a, _ in differ)
    gaps = [abs(each.first.probability - each.second.probability) for each in disagreements.shown]
    assert gaps == sorted(gaps, reverse=True) and len(gaps) == min(12, len(differ))
    assert all(each.picture.uri and each.first.digest == each.second.digest for each in disagreements.shown)
    page = " ".join(render_comparison(found).split())
    assert f"they call {len(differ)} of the {len(first)} photos differently" in page
    worst = disagreements.shown[0]
    assert f"A {decimal(worst.first.probability)}, " in page and f"B {decimal(worst.second.probability)}, " in page
    assert "They call every photo the same" in render_comparison(compare_runs([trained[0], trained[0]]))
