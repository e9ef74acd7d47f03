import pytest

from bearcnn.cli.engine import EngineOptions
from bearcnn.errors import BearcnnError
from bearcnn.inference.places import CLUSTERS, Cluster
from bearcnn.inference.prediction import Prediction
from bearcnn.inference.predictor import Predictor, predict_photos
from tests.helpers.commands import bearcnn_command, some_photos
from tests.helpers.onnx_models import write_model


@pytest.fixture
def elsewhere():
    """A cluster registered from outside."""

    def predict(predictor, paths, *, address, on_remark):
        for path in paths:
            yield Prediction(f"{address}:{path}", 0.5, "bright", None)
        on_remark("[all] done")

    CLUSTERS.register(Cluster("elsewhere", "nowhere in particular", predict))
    yield
    CLUSTERS.unregister("elsewhere")


def test_a_registered_cluster_gets_the_photos_and_its_remark_is_shown_as_it_is(elsewhere, tmp_path, capsys):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    options = EngineOptions(engine="elsewhere", address="there")
    assert [row.path for row in options.predict(predictor, ["a.jpg", "b.jpg"])] == ["there:a.jpg", "there:b.jpg"]
    assert list(options.predict(predictor, [])) == []
    assert "[all] done" in capsys.readouterr().err


def test_without_a_cluster_this_computer_predicts(tmp_path):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    photos = [tmp_path / "missing.jpg"]
    assert list(EngineOptions().predict(predictor, photos)) == list(predict_photos(predictor, photos))


def test_options_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(BearcnnError, match="--address names a cluster: add --engine ray"):
        EngineOptions(address="auto").check(None, regions=False, watching=False)
    with pytest.raises(BearcnnError, match="--heatmaps are drawn on this computer alone: omit --engine ray"):
        EngineOptions(engine="ray").check(tmp_path, regions=False, watching=False)
    with pytest.raises(BearcnnError, match="--detections and --tiles are for this computer alone"):
        EngineOptions(engine="ray").check(None, regions=True, watching=False)
    with pytest.raises(BearcnnError, match="--watch answers photos on this computer"):
        EngineOptions(engine="ray").check(None, regions=False, watching=True)
    EngineOptions().check(tmp_path, regions=False, watching=False)
    EngineOptions(engine="ray", address="auto").check(None, regions=False, watching=False)


@pytest.mark.slow
def test_a_cluster_that_can_not_be_used_is_one_line_and_nothing_on_stdout(work, photos):
    where = ("--engine", "ray", "--address", "ray://127.0.0.1:1", "--json")
    process = bearcnn_command("predict", *some_photos(photos), *where, cwd=work, code=1)
    assert process.stdout == ""
    *_, error = process.stderr.splitlines()
    assert error.startswith("error: ray://127.0.0.1:1 is for computers outside of a cluster")
    assert "set --address to auto" in error
