"""The scores are those that ship, and the words about pooling are true."""

import numpy as np
import pytest
import torch

from bearcnn.explain.activations import kernels, pool_map, score_windows
from bearcnn.explain.figures import kernel_colors
from bearcnn.explain.subject import Subject
from bearcnn.export.base import ShippedModel
from bearcnn.inference.predictor import Predictor
from bearcnn.model.load import find_weights, load_model
from tests.helpers.subjects import VARIANTS, make_subject


@pytest.fixture(params=sorted(VARIANTS))
def subject(request) -> Subject:
    return make_subject(request.param)


def shipped(subject: Subject) -> tuple[float, np.ndarray]:
    with torch.no_grad():
        model = ShippedModel(subject.network, subject.manifest.temperature)
        answer, windows = model(torch.from_numpy(subject.pixels[None]))
    return float(answer), windows[0].numpy()


def test_scores_and_answer_are_those_of_the_exported_model(subject):
    answer, windows = shipped(subject)
    found = score_windows(subject)
    assert found.answer == pytest.approx(answer, abs=1e-6)
    assert subject.answer() == pytest.approx(answer, abs=1e-6)
    assert found.scores == pytest.approx(windows, abs=1e-6)
    assert found.scores[found.best] == pytest.approx(windows.max(), abs=1e-6)


def test_avg_answers_as_one_window_of_averages_and_max_as_one_of_maxima():
    found = score_windows(make_subject("avg"))
    assert found.answer == pytest.approx(found.mean_window, abs=1e-6)
    found = score_windows(make_subject("max"))
    assert found.answer == pytest.approx(found.strongest, abs=1e-6)
    assert found.answer != pytest.approx(float(found.scores.mean()), abs=1e-3)


def test_each_feature_that_is_there_is_largest_in_one_window(subject):
    found = score_windows(subject)
    with torch.no_grad():
        last = subject.network.last_map(subject.batch())[0]
    assert found.winners.shape == found.scores.shape
    assert found.winners.sum() == int((last.amax((1, 2)) > 0).sum()) <= found.features


def test_the_nearest_window_is_the_one_whose_centre_is(subject):
    found = score_windows(subject)
    for row, column in np.ndindex(found.scores.shape):
        centre = (float(found.windows.centres[column]), float(found.windows.centres[row]))
        assert found.nearest(centre) == (row, column)


def test_a_kernel_that_does_nothing_is_grey():
    assert (kernel_colors(np.zeros((3, 3, 3), np.float32)) == 0.5).all()
    colors = kernel_colors(kernels(make_subject("default").network)[0])
    assert colors.shape == (3, 3, 3)
    assert 0 <= colors.min() < colors.max() <= 1


def test_pooling_takes_the_largest_and_the_average():
    one = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert pool_map(one, "max", 2).tolist() == [[[5, 7], [13, 15]]]
    assert pool_map(one, "avg", 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert pool_map(one, "concat", 2).shape == (2, 2, 2)


def test_the_answer_is_the_one_that_predict_gives(trained):
    run, dataset, _ = trained
    trained = load_model(find_weights(run.directory))
    pixels = np.asarray(dataset.pixels[0])
    found = score_windows(Subject(trained.network, trained.manifest, trained.config.model, pixels, ""))
    answer, windows = Predictor(run.onnx_file).predict_pixels(pixels[None])
    assert found.answer == pytest.approx(float(answer[0]), abs=1e-5)
    assert found.scores == pytest.approx(windows[0], abs=1e-5)
