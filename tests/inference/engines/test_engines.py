import numpy as np
import pytest
from onnx import TensorProto

from bearcnn.errors import BearcnnError, MissingPackageError, ModelFileError
from bearcnn.inference.engines import AUTO, ENGINES, EngineRow, choose_engine
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import stamp_onnx
from tests.helpers.onnx_models import brightness_model, make_manifest, stamp_as_before, write_model

NAMES = ENGINES.names()


def test_the_first_engine_that_works_is_chosen_without_a_word():
    chosen = choose_engine(AUTO)
    assert (chosen.row.name, chosen.passed_over) == ("onnxruntime", "")


def test_an_unknown_engine_is_refused_with_the_nearest():
    with pytest.raises(BearcnnError, match=r"there is no engine 'openvc'.*did you mean opencv"):
        choose_engine("openvc")


@pytest.fixture
def broken():
    """An engine before the others whose package can't be imported."""
    row = EngineRow("broken", "Broken", "no_such_package_here", "broken-package", "nowhere:opener")
    ENGINES.register(row, first=True)
    yield row
    ENGINES.unregister("broken")


def test_an_engine_that_cannot_be_imported_is_passed_over_with_the_reason(broken, tmp_path):
    predictor = Predictor(write_model(tmp_path / "model.onnx"))
    assert predictor.engine.row.name == "onnxruntime"
    assert predictor.engine.passed_over == "Broken can't be loaded here (No module named 'no_such_package_here')"


def test_an_engine_that_is_asked_for_by_name_is_not_replaced(broken):
    with pytest.raises(MissingPackageError, match=r"Broken can't be loaded.*install with pip: broken-package"):
        choose_engine("broken")


def test_a_file_that_the_replacement_refuses_says_why_there_is_one(broken, tmp_path):
    (tmp_path / "model.onnx").write_bytes(stamp_onnx(brightness_model(input_name="image"), make_manifest()))
    with pytest.raises(ModelFileError, match=r"take and give.* \(Broken can't be loaded here \(No module named"):
        Predictor(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [20, 400, -40])
def test_every_engine_refuses_a_damaged_file_in_one_line(tmp_path, capfd, name, length):
    path = tmp_path / "model.onnx"
    path.write_bytes(stamp_onnx(brightness_model(), make_manifest())[:length])
    with pytest.raises(ModelFileError, match=r"damaged|no manifest") as refused:
        Predictor(path, name)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_refuses_a_graph_with_an_unknown_operation(tmp_path, capfd, name):
    path = tmp_path / "model.onnx"
    path.write_bytes(stamp_as_before(brightness_model(), make_manifest()).replace(b"Sigmoid", b"Sigmund", 1))
    with pytest.raises(ModelFileError, match="is damaged, or"):
        Predictor(path, name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "model", [brightness_model(input_name="image"), brightness_model(input_type=TensorProto.FLOAT)]
)
def test_every_engine_refuses_a_graph_with_other_inputs(tmp_path, name, model):
    path = tmp_path / "model.onnx"
    path.write_bytes(stamp_onnx(model, make_manifest()))
    with pytest.raises(ModelFileError, match=r"take and give|can't compute it"):
        Predictor(path, name)


def test_opencv_refuses_8_bit_integers_to_which_it_would_answer_wrongly(tmp_path):
    with pytest.raises(ModelFileError, match="8-bit integers, to which OpenCV gives wrong answers; use the float file"):
        Predictor(write_model(tmp_path / "model.onnx", quantized=True), "opencv")


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_answers_no_pictures_too(tmp_path, name):
    predictor = Predictor(write_model(tmp_path / "model.onnx"), name)
    probability, windows = predictor.predict_pixels(np.empty((0, 16, 16, 3), np.uint8))
    assert (probability.shape, windows.shape[0], windows.ndim) == ((0,), 0, 3)
