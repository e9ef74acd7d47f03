import pytest
from bearcnn.cli.cluster import ClusterOptions

from bearcnn.errors import BearcnnError
from bearcnn.inference.places import PLACES, Place
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor, predict_photos
from tests.helpers.commands import bearcnn_command, some_photos
from tests.helpers.onnx_models import write_model


@pytest.fixture
def elsewhere():
    """A place registered from outside."""

    def predict(predictor, paths, *, address, on_remark):
        for path in paths:
            yield Prediction(f"{address}:{path}", 0.5, "bright", None)
        on_remark("[all] done")

    PLACES.register(Place("elsewhere", "nowhere in particular", predict))
    yield
    PLACES.unregister("elsewhere")


def test_a_registered_place_gets_the_photos_and_its_remark_is_shown_as_it_is(elsewhere, tmp_path, capsys):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    options = ClusterOptions(engine="elsewhere", address="there")
    assert [row.path for row in options.predict(predictor, ["a.jpg", "b.jpg"], None)] == ["there:a.jpg", "there:b.jpg"]
    assert list(options.predict(predictor, [], None)) == []
    assert "[all] done" in capsys.readouterr().err


def test_without_a_cluster_this_computer_predicts(tmp_path):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    photos = [tmp_path / "missing.jpg"]
    assert list(ClusterOptions().predict(predictor, photos, None)) == list(predict_photos(predictor, photos))


def test_options_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(BearcnnError, match="--address names a cluster: add --engine ray"):
        ClusterOptions(address="auto").check(None)
    with pytest.raises(BearcnnError, match="--heatmaps are drawn on this computer alone: omit --engine ray"):
        ClusterOptions(engine="ray").check(tmp_path)
    ClusterOptions().check(tmp_path)
    ClusterOptions(engine="ray", address="auto").check(None)


@pytest.mark.slow
def test_a_cluster_that_can_not_be_used_is_one_line_and_nothing_on_stdout(work, photos):
    where = ("--engine", "ray", "--address", "ray://127.0.0.1:1", "--json")
    process = bearcnn_command("predict", *some_photos(photos), *where, cwd=work, code=1)
    assert process.stdout == ""
    *_, error = process.stderr.splitlines()
    assert error.startswith("error: ray://127.0.0.1:1 is for computers outside of a cluster")
    assert "set --address to auto" in error
