"""Pictures of networks on a pretrained body: their words, and what they frame."""

import numpy as np
import pytest

from bearcnn.config import ModelConfig
from bearcnn.explain import answer_figures, figures
from bearcnn.explain.activations import Subject, find_maps, kernels, score_windows, take_step
from bearcnn.geometry import ReceptiveField
from bearcnn.model.network import build_model
from tests.helpers.onnx_models import make_manifest

SIZE = 224


@pytest.fixture(
    scope="module",
    params=[(-1, 1, (16,)), (-1, 3, (16, 8)), (-2, 1, (16,)), (-2, 3, (16, 8))],
    ids=lambda each: "stage {} kernel {} widths {}".format(*each),
)
def subject(request) -> Subject:
    stage, kernel_size, widths = request.param
    model = ModelConfig(
        body="efficientnet_lite0", body_stage=stage, kernel_size=kernel_size, widths=widths, stride=1, pool_size=1
    )
    network = build_model(model).eval()
    config = {"model": model.model_dump(mode="json")}
    manifest = make_manifest(image_size=SIZE, classes=("not_bear", "bear"), config=config)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Subject(network, manifest, model, pixels, "photo.jpg")


def words(figure) -> str:
    texts = [text.get_text() for text in figure.texts]
    texts += [title for axes in figure.axes for title in (axes.get_title(), axes.get_title(loc="left"))]
    return " ".join(" ".join(texts).split())


@pytest.mark.slow  # draws pictures of four networks
def test_a_window_that_sees_more_than_the_photo_is_not_called_larger_than_it(subject: Subject) -> None:
    seen = "all of the photo" if subject.model.body_stage == -1 else "most of the photo"
    field = subject.fields[-1][1]
    assert (field.size >= 2 * SIZE - 1) == (seen == "all of the photo")
    for figure in (
        answer_figures.draw_windows(subject, score_windows(subject)),
        figures.draw_kernels(subject, kernels(subject.network), find_maps(subject)),
        figures.draw_convolution(subject, take_step(subject)),
    ):
        assert f"{field.size} ×" not in words(figure)
    assert f"it sees {seen}; windows overlap" in words(answer_figures.draw_windows(subject, score_windows(subject)))


def test_the_frame_is_the_part_that_a_place_stands_for(subject: Subject) -> None:
    count = subject.network.stem(subject.batch()).shape[2]
    for fields in subject.fields:
        spans = [subject.frame(fields[1]).span(place) for place in range(count)]
        assert spans == [(number * SIZE // count, (number + 1) * SIZE // count) for number in range(count)]
    assert subject.frame(ReceptiveField(51, 32, 15.5)) == ReceptiveField(51, 32, 15.5)  # smaller than the photo


def test_windows_of_a_body_are_spread_evenly(subject: Subject) -> None:
    found = score_windows(subject)
    count = len(found.windows.centres)
    assert found.windows.centres == pytest.approx((np.arange(count) + 0.5) / count)


def test_the_photo_leads_to_the_body_as_one_box(subject: Subject) -> None:
    said = words(figures.draw_photo(subject))
    assert "EfficientNet-Lite0, trained on ImageNet" in said
    assert "efficientnet_lite0 (pretrained)" in said
    channels = subject.network.body.out_width
    assert f"{channels} maps of" in said


@pytest.mark.slow  # draws pictures of four networks
def test_nothing_is_drawn_beyond_the_edges(subject: Subject) -> None:
    for figure in (
        figures.draw_photo(subject),
        figures.draw_convolution(subject, take_step(subject)),
        figures.draw_kernels(subject, kernels(subject.network), find_maps(subject)),
    ):
        for axes in figure.axes:
            box = axes.get_position()
            assert box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1
