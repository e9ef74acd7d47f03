import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bearcnn.config import Config, ModelConfig
from bearcnn.evaluation.intervals import wilson_interval
from bearcnn.evaluation.localization import PointingGame, play_pointing_game
from bearcnn.geometry import map_sizes
from bearcnn.inference.windows import find_windows
from bearcnn.model.network import build_model
from tests.helpers.onnx_models import make_manifest


@st.composite
def networks(draw):
    strides = tuple(draw(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=3)))
    blocks = len(strides)
    return ModelConfig(
        widths=(2,) * blocks,
        kernel_size=tuple(draw(st.sampled_from([1, 3, 5] if stride == 1 else [3, 5])) for stride in strides),
        stride=strides,  # with 2 and a kernel of 1, every other pixel is passed over, also at the edge
        pooling=draw(st.sampled_from(["avg", "concat"])),  # a maximum has a gradient at one of its places only
        pool_size=draw(st.integers(2, 3)),
        residual=tuple(draw(st.integers(0, 2)) for _ in range(blocks)),
    )


def seen_by(maps: torch.Tensor, image: torch.Tensor, row: int, column: int) -> tuple[int, int, int, int]:
    """The rows and columns of the picture on which a place depends, by its gradient."""
    (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), image, retain_graph=True)
    seen = gradient[0].abs().sum(0) > 0
    rows, columns = torch.where(seen.any(1))[0], torch.where(seen.any(0))[0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@settings(deadline=None, max_examples=25)
@given(config=networks())
def test_a_place_depends_on_exactly_the_pixels_of_its_field(config):
    network = build_model(config).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # positive throughout, so that nothing cancels and no ReLU is silent
            parameter.copy_(parameter.abs() + 0.1)
    size = 40 if config.pool_size == 2 else 54  # nothing is left over at the edge when windows pool it
    image = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    maps = image
    for block, (convolved, field) in zip(network.blocks, config.receptive_fields, strict=True):
        for expected, output in ((convolved, block.convolution(maps)), (field, block(maps))):
            last = output.shape[-1] - 1
            for row, column in {(0, 0), (last // 2, last), (last, last // 3)}:
                spans = (expected.span(row), expected.span(column))
                clipped = [min(max(end, 0), size) for span in spans for end in span]
                assert seen_by(output, image, row, column) == tuple(clipped)
        maps = block(maps)


def test_with_a_stride_of_2_the_first_window_looks_at_the_corner():
    config = Config(data={"image_size": 64})
    manifest = make_manifest(image_size=64, config=config.model_dump(mode="json"))
    assert config.model.receptive_fields[-1][1].size == 31  # 1 + 2 (1 + 2 + 4 + 8)
    assert find_windows(manifest, 4).centres * 64 == pytest.approx([0.5, 16.5, 32.5, 48.5])


def test_pooling_windows_lie_side_by_side():
    config = Config(data={"image_size": 64}, model={"stride": 1})
    manifest = make_manifest(image_size=64, config=config.model_dump(mode="json"))
    assert find_windows(manifest, 4).centres == pytest.approx([0.125, 0.375, 0.625, 0.875])


@pytest.mark.parametrize("config", [{}, {"model": {"widths": "of a later version"}}])
def test_centres_are_spread_evenly_where_the_model_does_not_say(config):
    assert find_windows(make_manifest(config=config), 4).centres == pytest.approx([0.125, 0.375, 0.625, 0.875])


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_hits_are_counted_as_by_hand(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    photos, side = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    scores = rng.random((photos, side, side))
    corners = np.sort(rng.random((photos, 2, 2)), 1)
    boxes = corners.reshape(photos, 4)
    centres = (np.arange(side) + 0.5) / side
    hits, inside = 0, np.zeros((photos, side, side))
    for photo in range(photos):
        left, top, right, bottom = boxes[photo]
        for row in range(side):
            for column in range(side):
                inside[photo, row, column] = left <= centres[column] < right and top <= centres[row] < bottom
        row, column = divmod(scores[photo].argmax(), side)
        hits += int(inside[photo, row, column])
    found = play_pointing_game(scores, boxes, centres)
    assert (found.photos, found.hits) == (photos, hits)
    assert (found.rate.value, found.rate.low, found.rate.high) == (hits / photos, *wilson_interval(hits, photos))
    assert found.chance == pytest.approx(inside.mean())
    assert found.best_place == pytest.approx(inside.mean(0).max())
    assert found.box_area == pytest.approx(np.mean((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))


def test_without_photos_there_is_no_rate():
    found = play_pointing_game(np.zeros((0, 4, 4)), np.zeros((0, 4)), np.linspace(0, 1, 4))
    assert found.rate.value is None
    assert found.chance is None


def test_there_are_as_many_windows_as_places_in_the_last_map():
    config = Config(data={"image_size": 100})
    field = config.model.receptive_fields[-1][1]
    assert map_sizes(100, (2, 2, 2, 2), 2)[-1] == len(range(0, 100, field.step))


def test_the_game_of_all_bears_is_read_from_new_and_old_metrics():
    rate = {"value": 0.5, "low": 0.2, "high": 0.8}
    fields = {"photos": 4, "hits": 2, "rate": rate, "chance": 0.2, "best_place": 1.0, "box_area": 0.2}
    read = PointingGame.from_metrics({"pointing_game": {"all": fields}})
    assert read == PointingGame.from_metrics({"window_hits": {"all": fields}})
    assert (read.hits, read.rate.high) == (2, 0.8)
    assert PointingGame.from_metrics({}) is None
