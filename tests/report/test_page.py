import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bearcnn.errors import BearcnnError, RunError
from bearcnn.evaluation.assessment import as_arrays, in_split, read_scores
from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.thresholds import operating_point
from bearcnn.report.charts import precision_recall_curve
from bearcnn.report.page import (
    breakable,
    gather,
    per_thousand,
    percent,
    render,
    slider_steps,
    verdict,
    write_report,
)
from bearcnn.report.svg import STYLES, Axis, Dot, Series, draw_histogram, draw_lines, draw_whisker, nice_range
from bearcnn.report.thumbnails import draw_windows, make_thumbnails
from bearcnn.runs import Run
from tests.helpers.pages import Page

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>&.jpg'


@pytest.fixture(scope="module")
def page(trained) -> str:
    return trained[0].report_file.read_text(encoding="utf-8")


def test_training_writes_a_whole_page_that_loads_nothing(page: str) -> None:
    tags = Page(page).tags
    links = [value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href")]
    assert links and all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|url\(|@import", page)


def test_every_picture_and_chart_says_what_it_shows(page: str) -> None:
    tags = Page(page).tags
    for tag, attributes in tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-label"]
    assert sum(tag == "svg" for tag, _ in tags) > 5
    assert ("html", {"lang": "en"}) in tags


@pytest.mark.parametrize(
    "heading",
    ["Move the threshold", "How it learnt", "What it can do", "The worst mistakes", "By kind of photo",
     "The network, layer by layer", "The photos", "How to repeat it", "The configuration"],
)  # fmt: skip
def test_every_part_is_there(page: str, heading: str) -> None:
    assert heading in page


def test_the_page_shows_the_runs_own_numbers(page: str, trained) -> None:
    run = trained[0]
    metrics = run.metrics()
    evaluation = metrics["evaluations"]["test"]
    assert f"{evaluation['estimates']['roc_auc']['value']:.3f}" in page
    assert f"<b>{evaluation['confusion']['false_negative']}</b>missed" in page
    assert f"{sum(row['parameters'] for row in metrics['layers']):,}" in page
    assert run.dataset_record()["fingerprint"] in page
    assert "model.pooling" in page


def test_names_that_are_markup_stay_text(trained) -> None:
    data = gather(trained[0])
    photo = replace(data.scores[0], path=EVIL, subclass=EVIL, label=1, probability=0.0)
    pictures = make_thumbnails([data.scores[0]], Path(data.record["root"]), trained[0].onnx_file)
    thumbnail = replace(pictures[0], score=photo)
    record = {**data.record, "root": EVIL, "skipped": [{"path": EVIL, "reason": EVIL}]}
    group = replace(data.judgement.groups[0], name=EVIL)
    evil = replace(
        data,
        place=EVIL,
        record=record,
        thumbnails=[thumbnail],
        judgement=replace(data.judgement, groups=[group], notes=[EVIL]),
        manifest=data.manifest.model_copy(update={"classes": (EVIL, EVIL), "name": EVIL, "versions": {EVIL: EVIL}}),
    )
    page = render(evil)
    assert "alert(1)" in page
    assert "<script>alert" not in page and "<img src=x" not in page
    assert not any("onerror" in attributes for _, attributes in Page(page).tags)


def test_a_name_that_isnt_text_doesnt_end_the_report(trained, tmp_path: Path) -> None:
    shutil.copytree(trained[0].directory, tmp_path / "run")
    run = Run(tmp_path / "run")
    kept = run.predictions_file.read_text()
    run.predictions_file.write_text(kept.replace(".jpg", "\\udcff.jpg"))
    page = write_report(run).read_bytes().decode()
    assert "\\udcff.jpg" in page
    assert "the photo is not there any more" in page


def test_the_report_of_an_unfinished_or_older_run_says_what_to_do(trained, tmp_path: Path) -> None:
    shutil.copytree(trained[0].directory, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.predictions_file.unlink()
    with pytest.raises(RunError, match="bearcnn evaluate"):
        write_report(run)
    run.metrics_file.unlink()
    with pytest.raises(RunError, match="not finished"):
        write_report(run)


def test_a_run_without_calibration_and_layers_has_a_report_all_the_same(trained) -> None:
    data = gather(trained[0])
    metrics = {name: value for name, value in data.metrics.items() if name not in ("layers", "calibration", "groups")}
    assert "didn't write its layers down" in render(replace(data, metrics=metrics, history=[]))


def test_it_says_how_often_the_windows_point_at_the_bear_where_that_is_known(trained) -> None:
    data = gather(trained[0], thumbnails=False)
    rate = {"value": 0.75, "low": 0.6, "high": 0.86}
    hits = {"photos": 40, "hits": 30, "rate": rate, "chance": 0.3, "best_place": 0.5}
    page = " ".join(render(replace(data, metrics={**data.metrics, "window_hits": {"all": hits}})).split())
    assert "in 30 of 40 the best window lies on it, 75% (60% to 86%); a window chosen blindly would in 30%," in page
    assert "always the same one at best in 50%." in page
    assert "the best window lies" not in render(data)


def test_nobodys_file_is_overwritten(trained, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    with pytest.raises(BearcnnError, match="exists already"):
        write_report(trained[0], mine)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("found", "bears", "alarms", "others", "word"),
    [
        (300, 300, 5, 300, "Yes, on photos like these."),
        (20, 20, 1, 100, "Perhaps."),
        (60, 100, 5, 100, "Not at this threshold."),
        (100, 100, 90, 100, "Little help."),
    ],
)
def test_the_verdict_follows_from_recall_its_interval_and_the_alarms(found, bears, alarms, others, word) -> None:
    labels = [1] * bears + [0] * others
    probabilities = [0.9] * found + [0.2] * (bears - found) + [0.8] * alarms + [0.1] * (others - alarms)
    assert verdict(evaluate(labels, probabilities), operating_point(labels, probabilities, 0.5), "bear")[1] == word


def test_a_coin_gets_a_no_and_photos_of_one_class_no_answer() -> None:
    coin = np.random.default_rng(0).random(200)
    labels = np.arange(200) % 2
    assert verdict(evaluate(labels, coin), operating_point(labels, coin, 0.5), "bear")[:2] == ("bad", "No.")
    assert verdict(evaluate([0], [0.1]), operating_point([0], [0.1], 0.5), "bear")[1] == "Can't tell."


def test_the_slider_counts_what_the_photos_say(trained) -> None:
    scores = in_split(read_scores(trained[0]), "test")
    labels, probabilities = as_arrays(scores)
    slider = slider_steps(scores, 0.5)
    assert slider["steps"][slider["start"]][0] == 0.5
    for threshold, found, alarms in slider["steps"]:
        called = probabilities >= threshold
        assert (found, alarms) == (int(called[labels == 1].sum()), int(called[labels == 0].sum()))
    assert slider["steps"][0][1:] == [slider["bears"], slider["others"]]
    assert slider["steps"][-1][1:] == [0, 0]


def test_the_precision_recall_curve_has_the_area_of_average_precision(trained) -> None:
    scores = in_split(read_scores(trained[0]), "test")
    recall, precision = precision_recall_curve(scores)
    area = sum((b - a) * y for a, b, y in zip(recall, recall[1:], precision[1:], strict=False))
    assert area == pytest.approx(evaluate(*as_arrays(scores)).estimates["average_precision"].value)


def test_thumbnails_survive_a_lost_photo_and_a_lost_model(trained, tmp_path: Path) -> None:
    run, dataset, _ = trained
    score = read_scores(run)[0]
    there = make_thumbnails([score], dataset.root, run.onnx_file)[0]
    assert there.photo.startswith("data:image/jpeg;base64,") and there.windows.startswith("data:image/png;base64,")
    assert make_thumbnails([score], tmp_path, run.onnx_file)[0].photo == ""
    assert make_thumbnails([score], dataset.root, tmp_path / "gone.onnx")[0].photo == ""


def test_window_scores_are_as_opaque_as_they_are_high() -> None:
    import base64
    import io

    from PIL import Image

    uri = draw_windows(np.array([[0.0, 0.5, 1.0]], np.float32))
    alpha = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))[0, :, 3]
    assert alpha[0] == 0 and alpha[0] < alpha[1] < alpha[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "50%"), (0.984, "98.4%"), (1.0, "100%"), (0.9999, "over 99.9%"), (0.0001, "under 0.1%"), (0, "0%"),
     (None, "undefined"), (0.98, "98%")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_certainty(value, text: str) -> None:
    assert percent(value) == text


def test_small_helpers() -> None:
    assert per_thousand(0.8675) == "868" and per_thousand(None) == "undefined"
    assert str(breakable("a/<b>.jpg")) == "a/<wbr>&lt;b&gt;.jpg"


def test_charts_place_their_points_and_escape_their_names() -> None:
    axis = Axis("x", 0, 1)
    chart = str(
        draw_lines("<t>", "d", axis, axis, [Series("<s>", [0, 1], [0, 1], STYLES[0])], [Dot(1, 0, "", "first")])
    )
    assert 'points="46.0,190.0 352.0,10.0"' in chart and 'cx="352.0" cy="190.0"' in chart
    assert "<t>" not in chart and "&lt;s&gt;" in chart
    assert "None" not in str(draw_lines("t", "d", axis, axis, [Series("s", [0, 1, 2], [0.5, None, 0.2], "first")]))
    bars = str(draw_histogram("t", "d", axis, [0.5, 0.5], [1.0, 0.0], ("a", "b"), 0.5))
    assert bars.count("<rect") == 4
    assert str(draw_whisker(None, None, None, "")) == ""
    assert 'cx="60.0"' in str(draw_whisker(0.5, 0.2, 0.8, "half"))


@pytest.mark.parametrize(("values", "expected"), [([0.2, 0.71], (0.2, 0.8)), ([3.0], (2.5, 3.5)), ([], (0.0, 1.0))])
def test_axes_hold_their_values_and_end_on_round_numbers(values, expected) -> None:
    assert nice_range(values) == pytest.approx(expected)
