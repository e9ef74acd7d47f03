import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bearcnn.errors import BearcnnError, RunError
from bearcnn.evaluation.formats import decimal
from bearcnn.evaluation.intervals import Estimate
from bearcnn.evaluation.predictions import read_predictions, write_predictions
from bearcnn.evaluation.wording import interval, metric_words, share
from bearcnn.report.page import breakable, gather, render, write_report
from bearcnn.report.thumbnails import make_thumbnails
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
    [
        "Move the threshold",
        "Training",
        "Scores",
        "Calibration",
        "Worst mistakes",
        "Surest right answers",
        "By group of photos",
        "The network, layer by layer",
        "The photos",
        "How to repeat it",
        "The configuration",
    ],
)
def test_every_part_is_there(page: str, heading: str) -> None:
    assert heading in page


def test_the_page_shows_the_runs_own_numbers(page: str, trained) -> None:
    run = trained[0]
    metrics = run.metrics()
    evaluation = metrics["evaluations"]["test"]
    assert f"{evaluation['estimates']['roc_auc']['value']:.3f}" in page
    missed = evaluation["confusion"]["false_negative"]
    assert f'<b><span data-say="count-missed">{missed}</span></b>missed' in page
    cells = re.sub(r"<[^>]+>", "", page)
    for name, estimate in evaluation["estimates"].items():
        said = decimal(estimate["value"]) + interval(Estimate(**estimate))
        assert metric_words(name) + said in cells or f"{metric_words(name)}&nbsp;*{said}" in cells
    for row in metrics["groups"]["test"]:
        assert f"data-wrong>{row['wrong']:,}</td>" in page and share(Estimate(**row["rate"])) in page
    assert f"{sum(row['parameters'] for row in metrics['layers']):,}" in page
    assert run.dataset_record()["fingerprint"] in page
    assert "model.pooling" in page


def test_names_that_are_markup_stay_text(trained) -> None:
    data = gather(trained[0])
    photo = replace(data.predictions[0], path=EVIL, subclass=EVIL, label=1, probability=0.0)
    pictures = make_thumbnails([data.predictions[0]], Path(data.record["root"]), trained[0].onnx_file)
    thumbnail = replace(pictures[0], prediction=photo)
    record = {**data.record, "root": EVIL, "skipped": [{"path": EVIL, "reason": EVIL}]}
    group = replace(data.assessment.groups[0], name=EVIL)
    evil = replace(
        data,
        place=EVIL,
        record=record,
        thumbnails=[thumbnail],
        surest=[thumbnail],
        assessment=replace(data.assessment, groups=[group], notes=[EVIL]),
        manifest=data.manifest.model_copy(update={"classes": (EVIL, EVIL), "name": EVIL, "versions": {EVIL: EVIL}}),
    )
    page = render(evil)
    assert "alert(1)" in page
    assert "<script>alert" not in page and "<img src=x" not in page
    assert not any("onerror" in attributes for _, attributes in Page(page).tags)


def test_a_name_that_isnt_text_doesnt_end_the_report(trained, tmp_path: Path) -> None:
    shutil.copytree(trained[0].directory, tmp_path / "run")
    run = Run(tmp_path / "run")
    write_predictions(
        run, [replace(each, path=each.path.replace(".jpg", "\udcff.jpg")) for each in read_predictions(run)]
    )
    page = write_report(run).read_bytes().decode()
    assert "\\udcff.jpg" in page
    assert "the photo is no longer there" in page


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
    assert "didn't record its layers" in render(replace(data, metrics=metrics, history=[]))


def test_it_says_how_often_the_windows_point_at_the_bear_where_that_is_known(trained) -> None:
    data = gather(trained[0], thumbnails=False)
    rate = {"value": 0.75, "low": 0.6, "high": 0.86}
    hits = {"photos": 40, "hits": 30, "rate": rate, "chance": 0.3, "best_place": 0.5, "box_area": 0.2}
    page = " ".join(render(replace(data, metrics={**data.metrics, "pointing_game": {"all": hits}})).split())
    assert "The best window lies on it in 30 of 40: 75% (60% to 86%)." in page
    assert (
        "A random window hits in 30%; the best fixed window in 50%, because drawn bears stand low in the picture."
        in page
    )
    assert "The best window lies" not in render(data)


def test_nobodys_file_is_overwritten(trained, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    with pytest.raises(BearcnnError, match="exists already"):
        write_report(trained[0], mine)
    assert mine.read_text() == "mine"


def test_a_path_may_be_broken_after_each_folder() -> None:
    assert str(breakable("a/<b>.jpg")) == "a/<wbr>&lt;b&gt;.jpg"


def test_the_page_explains_threshold_score_and_calibration_in_words(trained) -> None:
    data = gather(trained[0], thumbnails=False)
    data = replace(data, metrics={**data.metrics, "calibration": {**data.calibration, "temperature": 0.491}})
    page = " ".join(render(replace(data, calibration=data.metrics["calibration"])).split())
    assert "This is the default; choose yours below." in page
    assert "the chance that a photo with a bear scores higher than one without." in page
    assert (
        "Before calibration it was too timid. One number (temperature 0.49), fitted on the 12 validation photos, "
        "corrects that as far as so few can show." in page
    )


def test_the_contents_lead_to_what_is_there(page: str) -> None:
    tags = Page(page).tags
    names = {attributes.get("id") for _, attributes in tags}
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert len(links) > 8 and {link.removeprefix("#") for link in links} <= names
