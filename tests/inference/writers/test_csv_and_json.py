import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from bearcnn.inference.labels import Labelling
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.writers import PREDICTION_FORMATS, PredictionFormat, format_of
from bearcnn.inference.writers.base import BURST_COLUMNS, COLUMNS, PredictionContext
from bearcnn.registry import load
from tests.helpers.onnx_models import make_manifest
from tests.helpers.places import ROOT

LABELLING = Labelling(("dark", "bright"), 0.5, 0.5)
ROWS = st.lists(
    st.builds(Prediction, st.text(), st.floats(0, 1), st.sampled_from(["dark", "bright"]), st.none())
    | st.builds(Prediction, st.text(), st.none(), st.none(), st.text(min_size=1))
)


def write(name: str, rows: list[Prediction], columns: tuple[str, ...] = COLUMNS, continued: bool = False) -> str:
    context = PredictionContext(ROOT, make_manifest(), LABELLING, columns, continued=continued)
    return "".join(load(PREDICTION_FORMATS[name].writer)(rows, context))


def test_the_text_of_each_format_is_as_it_was():
    rows = [Prediction("a, b.jpg", 0.25, "dark", None), Prediction("c.jpg", None, None, "empty file")]
    assert write("csv", rows) == 'path,label,probability,error\n"a, b.jpg",dark,0.250000,\nc.jpg,,,empty file\n'
    assert write("jsonl", rows) == (
        '{"path": "a, b.jpg", "label": "dark", "probability": 0.25, "error": null}\n'
        '{"path": "c.jpg", "label": null, "probability": null, "error": "empty file"}\n'
    )
    assert write("json", rows[:1]) == (
        '[\n  {"path": "a, b.jpg", "label": "dark", "probability": 0.25, "error": null}\n]\n'
    )
    assert write("json", []) == "[\n]\n"


@given(ROWS)
def test_every_format_gives_back_every_row(rows):
    expected = [(row.path, row.label, row.probability, row.error) for row in rows]
    for found in (json.loads(write("json", rows)), [json.loads(line) for line in write("jsonl", rows).splitlines()]):
        assert [(row["path"], row["label"], row["probability"], row["error"]) for row in found] == expected
    table = list(csv.DictReader(io.StringIO(write("csv", rows), newline="")))
    assert [(row["path"], row["label"] or None, row["error"] or None) for row in table] == [
        (as_no_formula(row.path, "./"), row.label, row.error and as_no_formula(row.error, "'")) for row in rows
    ]


def as_no_formula(text: str, before: str) -> str:
    return before + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def test_further_columns_stand_behind_the_others():
    rows = [Prediction("a.jpg", 0.5, "bright", None, 3, 0.25)]
    columns = (*COLUMNS, *BURST_COLUMNS)
    assert write("csv", rows, columns).splitlines() == [
        "path,label,probability,error,burst,own_probability",
        "a.jpg,bright,0.500000,,3,0.250000",
    ]
    assert json.loads(write("jsonl", rows, columns))["burst"] == 3


def test_rows_behind_others_have_no_header():
    assert write("csv", [Prediction("a.jpg", 0.5, "bright", None)], continued=True) == "a.jpg,bright,0.500000,\n"


def test_a_file_name_tells_its_format():
    assert [getattr(format_of(name), "name", None) for name in ("a.csv", "b.JSON", "c.jsonl", "d", "e.txt")] == [
        "csv",
        "json",
        "jsonl",
        None,
        None,
    ]


def test_a_format_can_be_registered_from_outside():
    def write_names(predictions, context):
        yield from (f"{prediction.path} {context.manifest.name}\n" for prediction in predictions)

    PREDICTION_FORMATS.register(PredictionFormat("names", "the names alone", write_names, ".names"))
    try:
        assert write("names", [Prediction("a.jpg", 0.5, "bright", None)]) == "a.jpg brightness\n"
        assert format_of("x.names") is PREDICTION_FORMATS["names"]
    finally:
        PREDICTION_FORMATS.unregister("names")
