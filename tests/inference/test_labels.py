from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.errors import BearcnnError, ModelFileError
from bearcnn.inference.labels import STORED, UNSURE, Labelling, choose_labelling
from bearcnn.inference.prediction import Prediction
from tests.helpers.onnx_models import make_manifest

MODEL = Path("bear.onnx")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_photo_is_positive_from_the_upper_threshold_on_and_unsure_only_between_both(a, b, probability):
    labelling = Labelling(("dark", "bright"), min(a, b), max(a, b))
    label = labelling.label(probability)
    assert (label == "bright") == (probability >= labelling.upper)
    assert (label == "dark") == (probability < labelling.lower)
    assert label in labelling.names


def test_one_threshold_gives_the_labels_of_the_model_and_never_unsure():
    labelling = choose_labelling(make_manifest(threshold=0.3, unsure=(0.2, 0.9)), MODEL)
    assert labelling.names == ("dark", "bright")
    assert [labelling.label(p) for p in (0.29, 0.3, 1.0)] == ["dark", "bright", "bright"]


def test_stored_thresholds_are_those_of_the_manifest():
    labelling = choose_labelling(make_manifest(threshold=0.2, unsure=(0.2, 0.9)), MODEL, STORED)
    assert [labelling.label(p) for p in (0.1, 0.2, 0.89, 0.9)] == ["dark", UNSURE, UNSURE, "bright"]


def test_a_model_without_two_thresholds_says_how_to_get_them():
    with pytest.raises(ModelFileError, match=r"bear\.onnx has no thresholds for `unsure`.*--target-precision 0\.9"):
        choose_labelling(make_manifest(), MODEL, STORED)


@pytest.mark.parametrize("text", ["0.9,0.1", "0.1", "a,b", "-1,0.5", "0.1,1.1", "0.1,nan", "0,0.5,1", ""])
def test_other_texts_than_two_thresholds_are_refused(text):
    with pytest.raises(BearcnnError, match="expected two thresholds"):
        choose_labelling(make_manifest(), MODEL, text)


def test_an_unreadable_photo_keeps_its_reason_and_gets_no_label():
    rows = [Prediction("a", None, None, "file is damaged"), Prediction("b", 0.5, "bright", None)]
    relabelled = list(Labelling(("dark", "bright"), 0.4, 0.6).relabel(rows))
    assert relabelled == [rows[0], Prediction("b", 0.5, UNSURE, None)]
