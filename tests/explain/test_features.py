"""Features of features, and pooling in windows, computed once more with torch's own layers."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bearcnn.explain.contributions import trace
from bearcnn.explain.features import combine_features
from bearcnn.explain.subject import Focus
from tests.helpers.subjects import VARIANTS, make_lesson, make_subject

DEEP = sorted(name for name, model in VARIANTS.items() if len(model.widths) > 1)


@pytest.fixture(params=DEEP)
def lesson(request):
    return make_lesson(request.param)


def test_the_sums_are_those_of_each_map_alone(lesson):
    found, network = lesson.features, lesson.subject.network
    layer = network.blocks[1].convolution
    convolution = layer[0]
    with torch.no_grad():
        image = network.blocks[0](network.normalize(lesson.subject.batch()))
        maps = layer(image)[0]
        alone = [
            float(
                F.conv2d(
                    image[:, each : each + 1],
                    convolution.weight[:, each : each + 1],
                    None,
                    convolution.stride,
                    convolution.padding,
                )[0, found.step.place.kernel, found.step.place.row, found.step.place.column]
            )
            for each in range(image.shape[1])
        ]
    place = found.step.place
    assert found.step.value == pytest.approx(float(maps[place.kernel, place.row, place.column]))
    assert list(found.step.inputs) == sorted(sorted(range(len(alone)), key=lambda each: -abs(alone[each]))[:5])
    assert found.step.sums == pytest.approx([alone[each] for each in found.step.inputs], abs=1e-5)
    assert found.step.others == max(0, len(alone) - 5)
    assert found.step.rest == pytest.approx(sum(alone) - float(found.step.sums.sum()), abs=1e-4)
    assert np.array_equal(found.inputs, image[0, list(found.step.inputs)].numpy())


def test_the_frame_in_the_maps_holds_the_windows_numbers(lesson):
    found = lesson.features
    (top, bottom), (left, right) = found.down, found.across
    rows, columns = found.inputs.shape[1:]
    inside = found.step.window[
        :, max(0, -top) : bottom - top - max(0, bottom - rows), max(0, -left) : right - left - max(0, right - columns)
    ]
    assert np.array_equal(inside, found.inputs[:, max(top, 0) : bottom, max(left, 0) : right])


def test_the_place_is_the_one_that_speaks_most_for_the_answer(lesson):
    found, second = lesson.features, trace(lesson.subject).convolved[1]
    place, direction = found.step.place, lesson.subject.direction
    assert place.kernel == int((direction * second.by_map).argmax())
    assert found.part == second.parts[place.kernel, place.row, place.column]


def test_maps_of_both_kinds_of_pooling_are_named():
    assert make_lesson("both").features.step.names[0].startswith("map ")
    names = {name.partition(", ")[2] for name in make_lesson("both").features.step.names}
    assert names <= {"max", "average"} and names
    assert {name.partition(", ")[2] for name in make_lesson("default").features.step.names} == {""}


def test_one_block_has_no_features_of_features():
    subject = make_subject("wide")
    assert combine_features(subject, trace(subject), Focus()) is None


@pytest.mark.parametrize("name", ["max", "avg", "both"])
def test_windows_are_pooled_as_the_network_pools_them(name):
    lesson = make_lesson(name)
    found, network = lesson.pooled, lesson.subject.network
    with torch.no_grad():
        block = network.blocks[found.block - 1]
        assert found.block == 1
        output = block(network.normalize(lesson.subject.batch()))[0].numpy()
    width, kernel = lesson.subject.model.widths[0], found.place.kernel
    assert found.pooled == pytest.approx(output[kernel::width], abs=1e-6)
    size = found.size
    windows = found.before[: len(found.before) // size * size, : len(found.before) // size * size]
    windows = windows.reshape(len(windows) // size, size, -1, size)
    expected = {"largest": windows.max((1, 3)), "average": windows.mean((1, 3))}
    for word, pooled in zip(found.words, found.pooled, strict=True):
        assert pooled == pytest.approx(expected[word], abs=1e-5)
    row, column, count = found.piece
    assert row >= 0 and row + count <= found.pooled.shape[1] and column >= 0


@pytest.mark.parametrize("name", ["default", "mixed", "wide"])
def test_without_windows_none_are_shown(name):
    assert make_lesson(name).pooled is None
