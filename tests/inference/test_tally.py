from pathlib import Path

from bearcnn.inference.prediction import Prediction
from bearcnn.inference.tally import MOST_REASONS, Tally


def test_labels_and_sites_are_counted_on_the_way():
    tally = Tally(("not_bear", "bear"))
    rows = [
        Prediction("/s/cam1/DCIM/100RECNX/1.jpg", 0.9, "bear", None),
        Prediction("/s/cam1/DCIM/101RECNX/2.jpg", 0.1, "not_bear", None),
        Prediction("/s/cam2/3.jpg", None, None, "file is truncated"),
    ]
    assert list(tally.count(rows)) == rows
    assert tally.counts == {"not_bear": 1, "bear": 1, "unreadable": 1}
    assert (tally.photos, tally.unreadable) == (3, 1)
    assert tally.sites() == {"cam1": {"bear": 1, "not_bear": 1}, "cam2": {"unreadable": 1}}
    assert list(tally.sites(Path("/"))) == ["s"]


def test_only_the_first_reasons_are_kept():
    tally = Tally(("not_bear", "bear"))
    list(tally.count(Prediction(str(i), None, None, "empty file") for i in range(100)))
    assert tally.reasons == [(str(i), "empty file") for i in range(MOST_REASONS)]
