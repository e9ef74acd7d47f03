"""What is written out is what torch's own layers compute."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bearcnn.explain.contributions import trace
from bearcnn.explain.convolution import compare_strides, cut_piece, find_edge, next_place, take_step
from bearcnn.explain.subject import Focus, Place, Subject
from tests.helpers.subjects import VARIANTS, make_lesson, make_subject


@pytest.fixture(params=sorted(VARIANTS))
def lesson(request):
    return make_lesson(request.param)


def normalized(subject: Subject) -> np.ndarray:
    return (subject.pixels.transpose(2, 0, 1) - 115.0) / 58


class TestStep:
    """One number of a map, and the next."""

    @pytest.mark.parametrize("which", ["step", "following"])
    def test_the_products_add_up_to_the_number_in_the_map(self, lesson, which):
        step = getattr(lesson, which)
        assert step.products == pytest.approx(step.window * step.kernel)
        assert step.sums.sum() + step.bias == pytest.approx(step.total, abs=1e-4)
        norm = step.norm
        assert (norm is None) == (lesson.subject.network.blocks[0].convolution[0].bias is not None)
        normed = step.total
        if norm is not None:
            normed = (step.total - norm.mean) / norm.deviation * norm.scale + norm.shift
        assert step.normed == pytest.approx(normed)
        with torch.no_grad():
            image = lesson.subject.network.normalize(lesson.subject.batch())
            maps = lesson.subject.network.blocks[0].convolution(image)[0].numpy()
        assert step.value == maps[step.place.kernel, step.place.row, step.place.column]
        assert step.value == pytest.approx(max(0, normed), abs=1e-4)
        assert np.array_equal(step.map, maps[step.place.kernel])

    def test_the_window_is_where_the_photo_is_framed(self, lesson):
        step = lesson.step
        (top, bottom), (left, right) = step.field.span(step.place.row), step.field.span(step.place.column)
        if min(top, left) < 0 or max(bottom, right) > 24:  # the kernel is larger than the photo
            assert step.kernel.shape[-1] > 24
            return
        assert step.window == pytest.approx(normalized(lesson.subject)[:, top:bottom, left:right], abs=1e-6)

    def test_the_next_window_lies_a_stride_to_the_right(self, lesson):
        step, following = lesson.step, lesson.following
        stride = lesson.subject.network.blocks[0].convolution[0].stride[0]
        if step.place.column + 1 < len(step.map):
            assert (following.place.row, following.place.column) == (step.place.row, step.place.column + 1)
            left, right = (each.field.span(each.place.column)[0] for each in (step, following))
            assert right - left == stride
        else:
            assert (following.place.row, following.place.column) == (step.place.row + 1, 0)
        assert following.place.kernel == step.place.kernel

    def test_after_a_row_comes_the_next_and_after_the_last_nothing(self):
        assert next_place(Place(2, 0, 3), 5, 4) == Place(2, 1, 0)
        assert next_place(Place(2, 4, 3), 5, 4) is None

    def test_beyond_the_edge_are_zeros(self):
        subject = make_subject("default")
        step = take_step(subject, trace(subject).convolved[0], Place(0, 0, 0))
        assert not step.window[:, 0].any() and not step.window[:, :, 0].any()
        assert step.window[:, 1:, 1:] == pytest.approx(normalized(subject)[:, :2, :2], abs=1e-6)


class TestStrides:
    """Stride 2 is stride 1 at every other place."""

    def test_each_map_is_that_of_the_layer_with_that_stride(self, lesson):
        found, subject = lesson.strides, lesson.subject
        for stride, expected in ((1, found.every), (2, found.other)):
            layer = copy.deepcopy(subject.network.blocks[0].convolution)
            old = layer[0]
            layer[0] = torch.nn.Conv2d(
                3, old.out_channels, old.kernel_size, stride, old.padding, bias=old.bias is not None
            )
            layer[0].load_state_dict(old.state_dict())
            with torch.no_grad():
                maps = layer(subject.network.normalize(subject.batch()))[0, found.kernel].numpy()
            assert maps == pytest.approx(expected, abs=1e-5)
        assert found.every[::2, ::2] == pytest.approx(found.other, abs=1e-5)
        assert (found.every if found.own == 1 else found.other) == pytest.approx(lesson.step.map, abs=1e-5)
        assert len(found.other) == -(-len(found.every) // 2) == 12

    def test_the_piece_lies_around_the_step_and_its_dots_are_the_places_of_stride_2(self, lesson):
        found, place = lesson.strides, lesson.place
        piece = cut_piece(found, (place.row, place.column))
        (top, bottom), (left, right) = piece.rows, piece.columns
        assert np.array_equal(piece.every, found.every[top:bottom, left:right])
        assert piece.every[::2, ::2] == pytest.approx(piece.other, abs=1e-5)
        scale = 2 if found.own == 2 else 1
        assert top <= place.row * scale < bottom and left <= place.column * scale < right
        row, column = piece.place
        assert top <= 2 * row < bottom and left <= 2 * column < right

    def test_it_is_64_and_32_places_for_a_photo_of_64_pixels(self):
        subject = make_subject("default", size=64)
        found = compare_strides(subject, trace(subject).convolved[0], 0)
        assert (found.every.shape, found.other.shape) == ((64, 64), (32, 32))


class TestMatrixProduct:
    """The rows are windows, the columns kernels, and the product is the convolution."""

    def test_it_is_the_convolution_before_norm_and_activation(self, lesson):
        product, subject = lesson.product, lesson.subject
        convolution = subject.network.blocks[0].convolution[0]
        with torch.no_grad():
            image = subject.network.normalize(subject.batch())
            stride = convolution.stride
            maps = F.conv2d(image, convolution.weight, convolution.bias, stride, convolution.padding)[0]
            unfolded = F.unfold(image, convolution.kernel_size, 1, convolution.padding, stride)[0].T
        count = maps.shape[-1]
        for number, (row, column) in enumerate(product.places):
            assert product.rows[number] == pytest.approx(unfolded[row * count + column].numpy(), abs=1e-6)
            for other, kernel in enumerate(product.kernels):
                assert product.product[number, other] == pytest.approx(float(maps[kernel, row, column]), abs=1e-4)
        assert product.columns == pytest.approx(convolution.weight[list(product.kernels)].detach().flatten(1).T.numpy())
        assert product.rows @ product.columns + product.rest + product.biases == pytest.approx(
            product.product, abs=1e-4
        )
        assert product.whole == (count * count, 3 * convolution.kernel_size[0] ** 2, len(maps))
        assert not product.rest.any()

    def test_the_marked_number_is_the_steps_total(self, lesson):
        row, column = lesson.product.step
        place = lesson.place
        assert lesson.product.places[row] == (place.row, place.column)
        assert lesson.product.kernels[column] == place.kernel
        assert lesson.product.product[row, column] == pytest.approx(lesson.step.total, abs=1e-4)


class TestEdge:
    """The kernel made by hand finds bright above dark."""

    def test_each_number_is_the_row_above_less_the_row_below(self):
        subject = make_subject("default")
        found = find_edge(subject, Focus())
        bright = subject.pixels.astype(float).mean(2) / 255
        for row, column in [(0, 0), (5, 17), (21, 21)]:
            above, below = bright[row, column : column + 3].sum(), bright[row + 2, column : column + 3].sum()
            assert found.map[row, column] == pytest.approx(above - below, abs=1e-5)
        assert found.total == found.map.max() == found.map[found.row, found.column]
        assert found.parts.sum() == pytest.approx(found.total, abs=1e-5)
        assert found.window == pytest.approx(
            bright[found.row : found.row + 3, found.column : found.column + 3], abs=1e-6
        )

    def test_a_given_place_is_the_windows_centre(self):
        found = find_edge(make_subject("default"), Focus(at=(0.5, 0.25)))
        assert (found.column, found.row) in {(11, 5), (10, 5), (11, 4), (10, 4)}
