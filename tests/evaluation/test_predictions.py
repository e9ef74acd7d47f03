import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bearcnn.errors import RunError
from bearcnn.evaluation.metrics import evaluate
from bearcnn.evaluation.predictions import (
    LabelledPrediction,
    as_arrays,
    in_split,
    read_predictions,
    validation_predictions,
    write_predictions,
)
from bearcnn.inference.predictor import Predictor, predict_photos
from bearcnn.runs import Run


def test_a_run_keeps_the_exported_models_answer_to_each_validation_and_test_photo(trained) -> None:
    run, dataset, _ = trained
    kept = read_predictions(run)
    assert {each.split for each in kept} == {"valid", "test"}
    predictions = predict_photos(Predictor(run.onnx_file), [dataset.root / each.path for each in kept])
    assert [each.probability for each in predictions] == pytest.approx([each.probability for each in kept], abs=1e-6)
    assert [each.digest for each in in_split(kept, "test")] == [each.digest for each in dataset.select("test")]
    scores = evaluate(*as_arrays(in_split(kept, "test"))).to_json()
    assert run.metrics()["evaluations"]["test"] == json.loads(json.dumps(scores))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
predictions = st.builds(
    LabelledPrediction,
    path=texts.filter(lambda text: not (set(text) & {"\0", "/"} or text == "..")),
    split=st.sampled_from(["valid", "test"]),
    label=st.integers(0, 1),
    subclass=texts,
    digest=texts,
    probability=st.floats(0, 1),
    grey=st.booleans(),
)


@given(st.lists(predictions, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_predictions_are_read_as_they_were_written(tmp_path: Path, kept: list[LabelledPrediction]) -> None:
    run = Run(tmp_path)
    write_predictions(run, kept)
    assert read_predictions(run) == kept
    labels, probabilities = as_arrays(kept)
    assert labels.tolist() == [each.label for each in kept]
    assert probabilities.tolist() == [each.probability for each in kept]


def test_missing_and_damaged_predictions_say_what_to_do(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(RunError, match=r"has no predictions\.jsonl; write it with: bearcnn evaluate"):
        read_predictions(run)
    for damaged in ('{"path": 1}\n', "{", "[]\n", "1\n"):
        run.predictions_file.write_text(damaged)
        with pytest.raises(RunError, match="damaged"):
            read_predictions(run)


def test_a_threshold_needs_validation_photos(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_predictions(run, [LabelledPrediction("a.jpg", "test", 1, "brown", "", 0.9, False)])
    with pytest.raises(RunError, match="no validation photos to choose a threshold on"):
        validation_predictions(run)
