"""What a fastai user does with a Learner, done with ours."""

import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
import torch

import bearcnn
from bearcnn.data.dataset import Dataset
from bearcnn.data.photos import load_pixels
from bearcnn.inference.predictor import Predictor
from tests.helpers.training import small_config

matplotlib.use("Agg")

from matplotlib import pyplot as plt

pytestmark = pytest.mark.slow  # trains, or starts processes


@pytest.fixture(scope="module")
def opened(photos, trained) -> tuple[object, Dataset]:
    return small_config(photos, "train.epochs=3"), trained[1]


@pytest.fixture
def learn(opened):
    return bearcnn.build_learner(*opened)


@pytest.fixture(scope="module")
def fitted(opened):
    learn = bearcnn.build_learner(*opened)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(3)
    learn.last_row = list(learn.recorder.values[-1])  # the recorder writes down what is validated later, too
    return learn


@pytest.fixture
def shown():
    """Axes drawn by a test."""
    plt.close("all")
    yield lambda: [axes for number in plt.get_fignums() for axes in plt.figure(number).axes]
    plt.close("all")


def quietly(learn, call):
    with learn.no_bar(), learn.no_logging():
        return call()


def test_fitting_learns_and_records(fitted):
    assert fitted.recorder.metric_names[1:5] == ["train_loss", "valid_loss", "accuracy", "roc_auc"]
    assert len(fitted.recorder.lrs) == 3 * len(fitted.dls.train)
    assert max(fitted.recorder.lrs) == pytest.approx(fitted.lr, rel=0.1)


def test_the_command_line_trains_this_very_learner(opened, trained, photos):
    config = small_config(photos)
    learn = bearcnn.build_learner(config, trained[1])
    quietly(learn, lambda: learn.fit_one_cycle(config.train.epochs))
    by_command = trained[0].history()[-1]
    assert learn.recorder.values[-1][1] == pytest.approx(by_command.valid_loss, abs=1e-5)
    assert learn.recorder.values[-1][3] == pytest.approx(by_command.roc_auc, abs=1e-6)


def test_a_second_fit_goes_on_and_flat_cosine_works(learn):
    quietly(learn, lambda: learn.fit_flat_cos(1))
    quietly(learn, lambda: learn.fit_one_cycle(1))
    assert learn.recorder.lrs[-1] < learn.lr


def test_lr_find_suggests_and_puts_the_weights_back(learn, shown, tmp_path):
    learn.path = tmp_path  # where fastai keeps the weights meanwhile
    before = {name: tensor.clone() for name, tensor in learn.model.state_dict().items()}
    found = quietly(learn, lambda: learn.lr_find(num_it=30))
    assert 1e-7 < found.valley < 10
    assert shown()
    assert all(torch.equal(before[name], tensor) for name, tensor in learn.model.state_dict().items())


def test_show_batch_draws_photos_with_their_classes(learn, shown):
    learn.dls.show_batch(max_n=4)
    titles = [axes.get_title() for axes in shown()]
    assert len(titles) == 4
    assert set(titles) <= {"bear", "not_bear"}
    learn.dls.valid.show_batch(max_n=2)
    assert len(shown()) == 6


def test_show_results_draws_truth_above_answer(fitted, shown):
    quietly(fitted, lambda: fitted.show_results(max_n=4))
    titles = [axes.get_title().splitlines() for axes in shown()]
    assert len(titles) == 4
    assert all(set(title) <= {"bear", "not_bear"} and len(title) == 2 for title in titles)


def test_get_preds_gives_the_validation_photos_in_order(fitted, opened):
    dataset = opened[1]
    probabilities, labels = quietly(fitted, fitted.get_preds)
    rows, expected = dataset.arrays("valid")
    assert labels.tolist() == expected.tolist()
    assert probabilities.shape == (len(rows), 2)
    assert probabilities.sum(1) == pytest.approx(np.ones(len(rows)), abs=1e-6)
    pixels = torch.from_numpy(np.asarray(dataset.pixels[rows])).permute(0, 3, 1, 2)
    with torch.no_grad():
        again = fitted.loss_func.activation(fitted.model.eval()(pixels))
    torch.testing.assert_close(probabilities, again, atol=1e-6, rtol=1e-5)


def test_get_preds_of_training_photos_are_of_the_photos_as_they_are(fitted, opened):
    _, labels = quietly(fitted, lambda: fitted.get_preds(ds_idx=0))
    assert labels.tolist() == opened[1].arrays("train")[1].tolist()
    first, second = (quietly(fitted, lambda: fitted.get_preds(ds_idx=0))[0] for _ in range(2))
    assert torch.equal(first, second)


def test_get_preds_of_new_photos_and_predict_agree_with_decoding_them(fitted, photos):
    paths = sorted((photos / "test").rglob("*.jpg"))[:3]
    probabilities, labels = quietly(fitted, lambda: fitted.get_preds(dl=fitted.dls.test_dl(paths)))
    assert labels is None
    name, number, by_predict = quietly(fitted, lambda: fitted.predict(paths[0]))
    torch.testing.assert_close(by_predict, probabilities[0], atol=1e-6, rtol=1e-5)
    assert str(name) == fitted.dls.vocab[int(number)]
    pixels = torch.from_numpy(load_pixels(paths[0], 32, "squish").copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        again = fitted.loss_func.activation(fitted.model.eval()(pixels))[0]
    torch.testing.assert_close(by_predict, again, atol=1e-6, rtol=1e-5)


def test_predict_takes_paths_bytes_arrays_and_pictures(fitted, photos):
    from PIL import Image

    path = sorted((photos / "test").rglob("*.jpg"))[0]
    with Image.open(path) as image:
        image.load()
    answers = [
        quietly(fitted, lambda item=item: fitted.predict(item))[2]
        for item in (path, str(path), path.read_bytes(), image, np.asarray(image))
    ]
    assert all(torch.allclose(answers[0], answer, atol=1e-6) for answer in answers)


def test_the_vocabulary_and_the_data_sets_are_where_fastai_has_them(learn):
    assert list(learn.dls.vocab) == ["not_bear", "bear"]
    assert len(learn.dls.train_ds) == 36
    photo, label = learn.dls.valid_ds[0]
    assert photo.shape == (3, 32, 32)
    assert int(label) in (0, 1)


def test_the_loss_can_be_plotted(fitted, shown):
    fitted.recorder.plot_loss()
    assert len(shown()[0].lines) == 2


def test_interpretation_finds_the_worst_and_draws_them(fitted, shown):
    from fastai.interpret import ClassificationInterpretation

    found = quietly(fitted, lambda: ClassificationInterpretation.from_learner(fitted))
    matrix = quietly(fitted, found.confusion_matrix)
    assert matrix.sum() == 12
    assert matrix.shape == (2, 2)
    quietly(fitted, lambda: found.plot_top_losses(4))
    titles = [axes.get_title() for axes in shown()]
    assert len(titles) == 4
    assert all(title.split("/")[1].strip() in ("bear", "not_bear") for title in titles)
    losses = [float(title.split("/")[2]) for title in titles]
    assert losses == sorted(losses, reverse=True)


def test_validate_gives_the_recorded_numbers(fitted):
    loss, accuracy, auc = quietly(fitted, fitted.validate)
    assert [loss, accuracy, auc] == pytest.approx(fitted.last_row[1:], abs=1e-6)


def test_export_and_load_learner_give_the_same_answers_elsewhere(fitted, photos, tmp_path):
    photo = sorted((photos / "test").rglob("*.jpg"))[0]
    expected = quietly(fitted, lambda: fitted.predict(photo))[2]
    fitted.path = tmp_path
    fitted.export("bear.pkl")
    code = (
        "import sys, bearcnn\nbearcnn.build_learner\n"
        "from fastai.learner import load_learner\nlearn = load_learner(sys.argv[1])\n"
        "with learn.no_bar(): print(*learn.predict(sys.argv[2])[2].tolist())"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path / "bear.pkl", photo],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert [float(word) for word in process.stdout.split()] == pytest.approx(expected.tolist(), abs=1e-6)


def test_fitting_in_bfloat16_leaves_what_comes_after_it_exact(photos, opened):
    learn = bearcnn.build_learner(small_config(photos, "train.precision=bfloat16"), opened[1])
    quietly(learn, lambda: learn.fit_one_cycle(1))
    assert not learn.model.blocks._forward_hooks
    pixels = next(iter(learn.dls.valid))[0]
    with torch.no_grad():
        assert learn.model.eval().last_map(pixels).dtype == torch.float32


def test_a_learner_is_silent_about_everything_but_its_table(opened, capsys):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learn = bearcnn.build_learner(*opened)
    assert not [warning for warning in caught if "bearcnn" in str(warning.filename)]
    assert capsys.readouterr() == ("", "")
    assert learn.model.training


def test_the_fastai_export_is_calibrated_as_the_onnx_file_is(trained, tmp_path):
    from fastai.learner import load_learner

    run, dataset, _ = trained
    bearcnn.export(run, "fastai", tmp_path / "bear.pkl", dataset=dataset)
    paths = [example.path for example in dataset.select("test")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learn = load_learner(tmp_path / "bear.pkl")
    probabilities, _ = quietly(learn, lambda: learn.get_preds(dl=learn.dls.test_dl(paths)))
    rows, _ = dataset.arrays("test")
    expected, _ = Predictor(run.onnx_file).predict_pixels(np.asarray(dataset.pixels[rows]))
    assert probabilities[:, 1].numpy() == pytest.approx(expected, abs=1e-5)
