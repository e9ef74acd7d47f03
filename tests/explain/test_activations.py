import numpy as np
import pytest
import torch

from bearcnn.config import ModelConfig
from bearcnn.errors import ModelFileError, PhotoError, RunError
from bearcnn.explain.activations import (
    Subject,
    find_maps,
    kernels,
    most_active,
    pool_map,
    score_windows,
    take_step,
    try_dropout,
)
from bearcnn.explain.canvas import stack
from bearcnn.explain.explain import explain, explain_png
from bearcnn.explain.figures import kernel_colors
from bearcnn.export.base import ShippedModel
from bearcnn.inference.predictor import Predictor
from bearcnn.model.load import find_weights, load_model
from bearcnn.model.network import bear_logit, build_model
from tests.helpers.onnx_models import make_manifest

VARIANTS = {
    "default": ModelConfig(widths=(4, 6)),
    "max": ModelConfig(widths=(4, 6), pooling="max", stride=1, kernel_size=(5, 3), residual=1, input_dropout=0.1),
    "mixed": ModelConfig(widths=(4, 6), stride=(1, 2), pool_size=1),
    "avg": ModelConfig(widths=(4, 6), pooling="avg", stride=1, pool_size=3, conv_dropout=0.25),
    "wide": ModelConfig(widths=(3,), kernel_size=31, dropout=0.0),
    "dots": ModelConfig(widths=(3, 2), kernel_size=1),
    "no norm": ModelConfig(widths=(4, 6), norm="none"),
}


def make_subject(
    name: str, output_classes: tuple[int, ...] = (0, 0, 1), size: int = 24, temperature: float = 1.3
) -> Subject:
    torch.manual_seed(3)
    network = build_model(VARIANTS[name], output_classes).eval()
    for module in network.modules():  # as after a training, when batch norm does something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    config = {"model": VARIANTS[name].model_dump(mode="json")}
    manifest = make_manifest(image_size=size, classes=("not_bear", "bear"), temperature=temperature, config=config)
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Subject(network, manifest, VARIANTS[name], pixels, "photo.jpg")


@pytest.fixture(params=sorted(VARIANTS))
def subject(request) -> Subject:
    return make_subject(request.param)


def shipped(subject: Subject) -> tuple[float, np.ndarray]:
    with torch.no_grad():
        model = ShippedModel(subject.network, subject.manifest.temperature)
        answer, windows = model(torch.from_numpy(subject.pixels[None]))
    return float(answer), windows[0].numpy()


class TestConvolution:
    """What is written out is what the network computed."""

    def test_the_products_add_up_to_the_number_in_the_map(self, subject):
        step = take_step(subject)
        assert step.products == pytest.approx(step.window * step.kernel)
        assert step.sums.sum() + step.bias == pytest.approx(step.total, abs=1e-4)
        normed = (step.total - step.mean) / step.deviation * step.scale + step.shift
        assert step.normed == pytest.approx(normed)
        assert step.value == pytest.approx(max(0, normed), abs=1e-4)
        assert step.map[step.row, step.column] == step.value

    def test_the_window_is_where_the_photo_is_framed(self, subject):
        step = take_step(subject)
        normalized = (subject.pixels.transpose(2, 0, 1) - 115.0) / 58
        (top, bottom), (left, right) = step.field.span(step.row), step.field.span(step.column)
        if top < 0 or left < 0:  # the kernel is larger than the photo
            assert step.kernel.shape[-1] > 24
            return
        assert step.window == pytest.approx(normalized[:, top:bottom, left:right], abs=1e-6)

    def test_it_is_the_largest_answer_of_all_kernels_inside_the_photo(self):
        subject = make_subject("default")
        step = take_step(subject)
        first = find_maps(subject)[0].maps
        assert step.value == first[:, 1:, 1:].max()  # only the first row and column look beyond the edge


class TestMaps:
    """The maps are those of the network itself."""

    def test_each_block_has_its_maps(self, subject):
        found = find_maps(subject)
        assert [block.number for block in found] == list(range(1, len(subject.model.widths) + 1))
        if len(found) > 1:
            with torch.no_grad():
                last = subject.network.last_map(subject.batch())[0].numpy()
            assert np.array_equal(found[-1].maps, last)

    def test_the_most_active_come_first(self):
        maps = np.zeros((3, 4, 4), np.float32)
        maps[1, 0, 0], maps[2, 0, 0] = 2, 1
        assert most_active(maps, 2).tolist() == [1, 2]

    def test_a_kernel_that_does_nothing_is_grey(self):
        assert (kernel_colors(np.zeros((3, 3, 3), np.float32)) == 0.5).all()
        colors = kernel_colors(kernels(make_subject("default").network)[0])
        assert colors.shape == (3, 3, 3)
        assert 0 <= colors.min() < colors.max() <= 1

    def test_pooling_takes_the_largest_and_the_average(self):
        one = np.arange(16, dtype=np.float32).reshape(4, 4)
        assert pool_map(one, "max", 2).tolist() == [[[5, 7], [13, 15]]]
        assert pool_map(one, "avg", 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
        assert pool_map(one, "concat", 2).shape == (2, 2, 2)


class TestWindows:
    """The scores are those that ship, and the words about pooling are true."""

    def test_scores_and_answer_are_those_of_the_exported_model(self, subject):
        answer, windows = shipped(subject)
        found = score_windows(subject)
        assert found.answer == pytest.approx(answer, abs=1e-6)
        assert found.scores == pytest.approx(windows, abs=1e-6)

    def test_avg_answers_as_one_window_of_averages_and_max_as_one_of_maxima(self):
        found = score_windows(make_subject("avg"))
        assert found.answer == pytest.approx(found.mean_window, abs=1e-6)
        found = score_windows(make_subject("max"))
        assert found.answer == pytest.approx(found.strongest, abs=1e-6)
        assert found.answer != pytest.approx(float(found.scores.mean()), abs=1e-3)

    def test_each_feature_that_is_there_is_largest_in_one_window(self, subject):
        found = score_windows(subject)
        with torch.no_grad():
            last = subject.network.last_map(subject.batch())[0]
        assert found.winners.shape == found.scores.shape
        assert found.winners.sum() == int((last.amax((1, 2)) > 0).sum()) <= found.features


class TestDropout:
    """Masks and answers are those of the network's own layers."""

    def test_a_mask_gives_the_answer_beside_it(self, subject):
        network = subject.network
        for trial in try_dropout(subject, masks=20):
            keep = torch.from_numpy(trial.kept[1]).float() / (1 - trial.rate)
            with torch.no_grad():
                image = network.normalize(subject.batch())
                if trial.what == "pixels":
                    logits = network.logits(network.blocks(image * keep))
                elif trial.what == "channels":
                    logits = network.logits(network.blocks[1:](network.blocks[0](image) * keep[None, :, None, None]))
                else:
                    logits = network.head(network.pooling(network.blocks(image)) * keep)
            answer = torch.sigmoid(bear_logit(logits, network.output_classes) / subject.manifest.temperature)
            assert trial.answers[1] == pytest.approx(float(answer), abs=1e-5)

    def test_the_rate_is_the_configured_one_or_a_half(self):
        rates = {trial.what: (trial.configured, trial.rate) for trial in try_dropout(make_subject("max"), masks=3)}
        assert rates == {"pixels": (0.1, 0.1), "channels": (0, 0.5), "features": (0.2, 0.2)}
        kept = try_dropout(make_subject("max", size=64), masks=3)[0].kept
        assert np.mean(kept) == pytest.approx(0.9, abs=0.02)

    def test_it_leaves_the_network_and_the_random_numbers_alone(self, subject):
        state, before = torch.get_rng_state(), shipped(subject)[0]
        first, second = try_dropout(subject, masks=5), try_dropout(subject, masks=5)
        assert all(np.array_equal(a.answers, b.answers) for a, b in zip(first, second, strict=True))
        assert torch.equal(torch.get_rng_state(), state)
        assert shipped(subject)[0] == before
        assert not subject.network.training

    def test_one_block_has_no_channels_between_blocks(self):
        assert [trial.what for trial in try_dropout(make_subject("wide"), masks=3)] == ["pixels", "features"]


class TestPicture:
    """One picture, whatever the network."""

    @pytest.mark.slow  # draws every picture of five networks
    def test_every_part_can_be_drawn_of_every_network(self, subject, tmp_path):
        from bearcnn.explain import answer_figures
        from bearcnn.explain import figures as drawing

        step = take_step(subject)
        figures = [
            drawing.draw_photo(subject),
            drawing.draw_kernels(subject, kernels(subject.network), find_maps(subject), 16),
            drawing.draw_convolution(subject, step),
            drawing.draw_pooling(subject, step),
            answer_figures.draw_windows(subject, score_windows(subject)),
            answer_figures.draw_dropout(subject, try_dropout(subject, masks=10)),
        ]
        for figure in figures:
            width, height = figure.get_size_inches()
            figure.canvas.draw()
            for part in [*figure.texts, *figure.axes]:  # nothing is cut off at the edge
                box = part.get_tightbbox() if part in figure.axes else part.get_window_extent()
                if box is not None:
                    assert 0 <= box.x0 < box.x1 <= width * figure.dpi, part
                    assert 0 <= box.y0 < box.y1 <= height * figure.dpi, part
        with stack(figures) as image:
            assert image.mode == "RGB"
            assert image.width == 1440
        assert [figure.texts[0].get_text()[:2] for figure in figures] == ["1.", "2.", "3.", "4.", "5.", "6."]

    def test_the_run_and_its_weights_alone_give_the_same_picture(self, trained, photos, tmp_path):
        run = trained[0]
        photo = sorted((photos / "test").rglob("*.jpg"))[0]
        alone = tmp_path / "copy.safetensors"
        alone.write_bytes(run.weights_file.read_bytes())
        assert explain_png(run.directory, photo, "windows") == explain_png(alone, photo, "windows")

    def test_the_answer_is_the_one_that_predict_gives(self, trained, photos):
        run, dataset, _ = trained
        trained = load_model(find_weights(run.directory))
        pixels = np.asarray(dataset.pixels[0])
        found = score_windows(Subject(trained.network, trained.manifest, trained.config.model, pixels, ""))
        answer, windows = Predictor(run.onnx_file).predict_pixels(pixels[None])
        assert found.answer == pytest.approx(float(answer[0]), abs=1e-5)
        assert found.scores == pytest.approx(windows[0], abs=1e-5)


class TestErrors:
    """What is missing is said."""

    def test_an_onnx_file_cannot_be_looked_into(self, trained, photos):
        with pytest.raises(ModelFileError, match="predict --heatmaps"):
            explain(trained[0].onnx_file, "x.jpg")

    def test_a_run_without_weights_is_not_finished(self, trained, tmp_path):
        (tmp_path / "config.toml").write_bytes(trained[0].config_file.read_bytes())
        with pytest.raises(ModelFileError, match="--resume"):
            find_weights(tmp_path)

    def test_no_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RunError, match="bearcnn train"):
            find_weights(None)

    def test_a_broken_photo_is_named(self, trained, tmp_path):
        (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
        with pytest.raises(PhotoError, match=r"x\.jpg: "):
            explain(trained[0], tmp_path / "x.jpg")
