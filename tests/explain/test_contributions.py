"""What contributes to the answer, computed once more with torch's own layers."""

import numpy as np
import pytest
import torch

from bearcnn.errors import BearcnnError
from bearcnn.explain.contributions import choose_place, sort_by_part, split_log_odds, trace
from bearcnn.explain.subject import Focus, Subject
from bearcnn.model.network import bear_logit
from tests.helpers.subjects import VARIANTS, make_lesson, make_subject


@pytest.fixture(params=sorted(VARIANTS))
def subject(request) -> Subject:
    return make_subject(request.param)


def log_odds(subject: Subject, change=None) -> float:
    """The log odds of a bear with the first convolution's maps changed."""
    network = subject.network
    with torch.no_grad():
        maps = network.blocks[0].convolution(network.normalize(subject.batch()))
        maps = maps if change is None else change(maps)
        for layer in network.blocks[0].residuals:
            maps = maps + layer(maps)
        maps = network.blocks[0].pooling(maps)
        return float(bear_logit(network.logits(network.blocks[1:](maps)), network.output_classes))


class TestTrace:
    """The maps are the network's, and their parts are its gradient times them."""

    def test_maps_are_those_of_the_layers(self, subject):
        network, found = subject.network, trace(subject)
        with torch.no_grad():
            image = network.normalize(subject.batch())
            for block, convolved, end in zip(network.blocks, found.convolved, found.ends, strict=True):
                assert np.array_equal(convolved.image.numpy(), image.numpy())
                assert np.array_equal(convolved.maps, block.convolution(image)[0].numpy())
                image = block(image)
                assert np.array_equal(end.maps, image[0].numpy())

    def test_a_part_is_how_fast_the_answer_changes_times_the_map(self, subject):
        found, small = trace(subject).convolved[0], 1e-3
        for channel in range(len(found.maps)):

            def scale(maps, by, channel=channel):
                changed = maps.clone()
                changed[:, channel] *= by
                return changed

            up, down = (log_odds(subject, lambda maps, by=by: scale(maps, by)) for by in (1 + small, 1 - small))
            assert found.by_map[channel] == pytest.approx((up - down) / (2 * small), rel=0.03, abs=2e-3)

    def test_it_leaves_no_gradient_and_no_hook_behind(self, subject):
        trace(subject)
        assert all(weight.grad is None for weight in subject.network.parameters())
        assert not any(module._forward_hooks for module in subject.network.modules())

    def test_the_last_maps_parts_are_the_heads(self, subject):
        parts, head = trace(subject).ends[-1].by_map, split_log_odds(subject)
        assert parts == pytest.approx(head.by_map, abs=1e-4)


class TestHead:
    """The parts add up to the answer, whatever the number of outputs."""

    @pytest.mark.parametrize("outputs", [(0, 1), (0, 0, 1), (0, 0, 0, 1, 1)])
    @pytest.mark.parametrize("name", ["default", "max", "avg", "both"])
    def test_parts_and_constant_are_the_log_odds(self, name, outputs):
        subject = make_subject(name, outputs)
        head = split_log_odds(subject)
        with torch.no_grad():
            logits = subject.network(subject.batch())
        expected = float(torch.logsumexp(logits[0, [n for n, each in enumerate(outputs) if each]], 0)) - float(
            torch.logsumexp(logits[0, [n for n, each in enumerate(outputs) if not each]], 0)
        )
        assert head.log_odds == pytest.approx(expected, abs=1e-5)
        assert head.parts.sum() + head.constant == pytest.approx(expected, abs=1e-4)
        assert 1 / (1 + np.exp(-head.log_odds / 1.3)) == pytest.approx(subject.answer(), abs=1e-5)

    def test_features_are_the_largest_and_the_average_of_each_map(self):
        head = split_log_odds(make_subject("default"))
        assert head.words == ("largest", "average")
        assert head.features == pytest.approx(np.stack([head.maps.max((1, 2)), head.maps.mean((1, 2))]), abs=1e-5)

    def test_with_two_outputs_a_weight_is_the_difference_of_the_heads_rows(self):
        subject = make_subject("max", (0, 1))
        weight = subject.network.head.weight.detach().numpy()
        assert split_log_odds(subject).weights[0] == pytest.approx(weight[1] - weight[0], abs=1e-6)


class TestChoice:
    """Kernel and place are those that speak most for the answer; the reader can name others."""

    def test_it_is_the_largest_part_for_the_answer(self, subject):
        found = trace(subject).convolved[0]
        place = choose_place(subject, found, Focus())
        by_map = [subject.direction * found.parts[kernel].sum() for kernel in range(len(found.parts))]
        assert place.kernel == int(np.argmax(by_map))
        padding, size = subject.model.kernel_sizes[0] // 2, 24
        convolution = subject.network.blocks[0].convolution[0]
        stride = convolution.stride[0]
        inside = [
            (row, column)
            for row, column in np.ndindex(found.maps.shape[1:])
            if all(0 <= each * stride - padding <= size - (2 * padding + 1) for each in (row, column))
        ] or list(np.ndindex(found.maps.shape[1:]))
        best = max(subject.direction * found.parts[place.kernel][each] for each in inside)
        if best > 0:
            assert (place.row, place.column) in inside
            assert subject.direction * found.parts[place.kernel, place.row, place.column] == best

    def test_a_given_kernel_and_place_are_taken(self, subject):
        found = trace(subject).convolved[0]
        place = choose_place(subject, found, Focus(kernel=1, at=(0.9, 0.1)))
        field, count = subject.fields[0][0], found.maps.shape[1]
        centres = [(field.first + number * field.step + 0.5) / 24 for number in range(count)]
        assert place.kernel == 1
        assert abs(centres[place.column] - 0.9) == pytest.approx(min(abs(each - 0.9) for each in centres))
        assert abs(centres[place.row] - 0.1) == pytest.approx(min(abs(each - 0.1) for each in centres))

    def test_at_a_given_place_the_kernel_is_the_one_that_counts_most_there(self, subject):
        found = trace(subject).convolved[0]
        place = choose_place(subject, found, Focus(at=(0.5, 0.5)))
        here = subject.direction * found.parts[:, place.row, place.column]
        assert here[place.kernel] == here.max()

    def test_a_kernel_that_is_not_there_is_refused(self):
        with pytest.raises(BearcnnError, match="no `kernel` 5: the first layer has kernels 1 to 4"):
            make_lesson("default", Focus(kernel=4))

    def test_the_answer_decides_for_which_side_it_looks(self):
        subject = make_subject("default")
        low, high = (
            Subject(subject.network, subject.manifest.model_copy(update={"threshold": threshold}), *rest)
            for threshold in (0.0, 1.0)
            for rest in [(subject.model, subject.pixels, subject.name)]
        )
        assert (low.direction, high.direction) == (1, -1)
        parts = trace(subject).convolved[0].by_map
        assert make_lesson("default").place.kernel in (int(parts.argmax()), int(parts.argmin()))
        assert choose_place(low, trace(low).convolved[0], Focus()).kernel == int(parts.argmax())
        assert choose_place(high, trace(high).convolved[0], Focus()).kernel == int(parts.argmin())

    def test_maps_are_sorted_from_for_to_against_and_the_smallest_left_out(self):
        assert sort_by_part(np.array([0.1, -2, 1, 0.5, -0.2]), 3) == [2, 3, 1]
