import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bearcnn.config import ModelConfig
from bearcnn.geometry import map_sizes
from bearcnn.model.layers import ConcatPool, Normalize, PixelDropout, global_pool, local_pool
from bearcnn.model.network import BearCNN, bear_logit, build_model, class_logits
from bearcnn.model.summary import describe_model

POOLINGS = ("max", "avg", "concat")


def random_pixels(count: int = 2, size: int = 32, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@settings(deadline=None, max_examples=60)
@given(
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2, (1, 2), (2, 1), (1, 2, 1)]),
    pooling=st.sampled_from(POOLINGS),
    pool_size=st.integers(2, 3),
    blocks=st.integers(1, 3),
    residual=st.sampled_from([0, 1, 2]),
    size=st.integers(28, 40),
)
def test_maps_have_the_size_of_the_formula(kernel_size, stride, pooling, pool_size, blocks, residual, size):
    blocks = len(stride) if isinstance(stride, tuple) else blocks
    widths = (4, 6, 8)[:blocks]
    config = ModelConfig(
        widths=widths,
        kernel_size=kernel_size,
        stride=stride,
        pooling=pooling,
        pool_size=pool_size,
        residual=(residual, 1, 0)[:blocks],
    )
    model = build_model(config).eval()
    side = map_sizes(size, config.strides, pool_size)[-1]
    doubled = 2 if pooling == "concat" else 1
    last_width = widths[-1] * (doubled if config.strides[-1] == 1 else 1)
    pixels = random_pixels(2, size)
    last_map = model.last_map(pixels)
    assert last_map.shape == (2, last_width, side, side)
    assert model(pixels).shape == (2, 2)
    assert model.class_activation_map(last_map).shape == (2, 2, side, side)
    assert model.head.in_features == last_width * doubled


@pytest.mark.parametrize(("kernel_size", "stride"), list(itertools.product([1, 3, 5], [1, 2])))
def test_a_convolution_is_the_unfolded_matrix_product(kernel_size, stride):
    block = BearCNN((5,), (kernel_size,), strides=(stride,), pooling="max").blocks[0]
    convolution = block.convolution[0]
    photos = torch.rand(2, 3, 12, 12)
    windows = F.unfold(photos, kernel_size, padding=kernel_size // 2, stride=stride)  # (2, 3 k k, places)
    products = convolution.weight.flatten(1) @ windows  # (2, 5, places): one dot product a window
    side = -(-12 // stride)
    torch.testing.assert_close(convolution(photos), products.view(2, 5, side, side))


def test_a_window_of_one_pixel_trains_in_the_layout_of_training():
    model = BearCNN((16, 8), (1, 1)).to(memory_format=torch.channels_last)
    pixels = random_pixels(32, 64).contiguous(memory_format=torch.channels_last)
    model(pixels).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(("pooling", "size"), list(itertools.product(POOLINGS, [2, 3])))
def test_local_pooling_against_brute_force(pooling, size):
    maps = torch.randn(2, 4, 7, 7)
    side = 7 // size
    answers = {"max": np.empty((2, 4, side, side)), "avg": np.empty((2, 4, side, side))}
    for b, c, y, x in itertools.product(range(2), range(4), range(side), range(side)):
        window = maps[b, c, y * size : (y + 1) * size, x * size : (x + 1) * size]
        answers["max"][b, c, y, x] = max(window.flatten().tolist())
        answers["avg"][b, c, y, x] = sum(window.flatten().tolist()) / size**2
    expected = np.concatenate([answers["max"], answers["avg"]], 1) if pooling == "concat" else answers[pooling]
    np.testing.assert_allclose(local_pool(pooling, size)(maps).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_global_pooling_is_the_local_pooling_of_the_whole_map(pooling):
    maps = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(global_pool(pooling)(maps), local_pool(pooling, 6)(maps).flatten(1))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_window_score_is_what_the_head_says_of_that_window_alone(pooling):
    model = BearCNN((4, 8), (3, 3), pooling=pooling).eval()
    last_map = model.last_map(random_pixels())
    windows = model.class_activation_map(last_map)
    for y, x in itertools.product(range(last_map.shape[2]), range(last_map.shape[3])):
        alone = model.logits(last_map[:, :, y : y + 1, x : x + 1])
        torch.testing.assert_close(windows[:, :, y, x], alone)


def test_average_pooling_makes_the_answer_the_mean_of_the_window_scores():
    model = BearCNN((4, 8), (3, 3), pooling="avg").eval()
    last_map = model.last_map(random_pixels())
    torch.testing.assert_close(model.logits(last_map), model.class_activation_map(last_map).mean((2, 3)))


def test_normalization_is_part_of_the_network():
    pixels = torch.tensor([0, 115, 173, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    assert Normalize()(pixels).flatten().tolist() == pytest.approx([-115 / 58, 0, 1, 140 / 58])


def test_a_class_is_the_sum_of_its_kinds():
    logits, kinds = torch.randn(7, 5, 2, 3), (0, 0, 0, 1, 1)
    shares = logits.softmax(1)
    bear = shares[:, 3] + shares[:, 4]
    torch.testing.assert_close(class_logits(logits, kinds).softmax(1)[:, 1], bear)
    torch.testing.assert_close(bear_logit(logits, kinds).sigmoid(), bear)
    assert torch.equal(bear_logit(logits[:, :2]), logits[:, 1] - logits[:, 0])


class TestDropout:
    """The three dropouts: new masks each batch, the mean kept, the right things covered, nothing at inference."""

    def test_pixel_dropout_takes_all_channels_of_a_pixel_together(self):
        dropped = PixelDropout(0.5).train()(torch.ones(2, 3, 16, 16))
        masks = dropped != 0
        assert (masks[:, :1] == masks).all()
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert not torch.equal(masks[0], masks[1])

    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("kind", ["pixels", "channels", "features"])
    def test_masks_differ_each_batch_and_keep_the_mean(self, kind, rate):
        torch.manual_seed(0)
        layer, ones = {
            "pixels": (PixelDropout(rate), torch.ones(8, 3, 64, 64)),
            "channels": (nn.Dropout2d(rate), torch.ones(64, 512, 2, 2)),
            "features": (nn.Dropout(rate), torch.ones(64, 512)),
        }[kind]
        first, second = layer.train()(ones), layer(ones)
        assert not torch.equal(first, second)
        for masked in (first, second):
            assert abs(masked.mean() - 1) < 0.05
            assert abs((masked == 0).float().mean() - rate) < 0.03

    def test_channel_dropout_takes_whole_channels_between_blocks_only(self):
        model = BearCNN((4, 8, 8), (3, 3, 3), conv_dropout=0.5).train()
        assert [block.dropout.p for block in model.blocks] == [0.5, 0.5, 0.0]
        maps = model.blocks[0].dropout(torch.ones(4, 16, 5, 5))
        assert all(len(channel.unique()) == 1 for photo in maps for channel in photo)

    @pytest.mark.parametrize("where", ["input_dropout", "conv_dropout", "dropout"])
    def test_each_dropout_changes_training_and_vanishes_at_inference(self, where):
        torch.manual_seed(0)
        model = build_model(ModelConfig(widths=(8, 8), **{where: 0.5}))
        plain = build_model(ModelConfig(widths=(8, 8), dropout=0))
        pixels = random_pixels()
        assert not torch.equal(model.train()(pixels), model(pixels))
        plain.load_state_dict(model.state_dict())
        assert torch.equal(model.eval()(pixels), model(pixels))
        assert torch.equal(model(pixels), plain.eval()(pixels))

    def test_dropout_reaches_the_head_through_the_features(self):
        model = BearCNN((4, 8), (3, 3), dropout=0.9).train()
        last_map = torch.rand(256, 8, 4, 4)
        seen = []
        model.head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        model.logits(last_map)
        assert abs((seen[0] == 0).float().mean() - 0.9) < 0.02


@pytest.mark.slow  # trains
@pytest.mark.parametrize("options", [{}, {"residual": 1}, {"stride": 1, "pooling": "max"}, {"kernel_size": (5, 1)}])
def test_a_batch_can_be_overfitted(options):
    torch.manual_seed(0)
    model = build_model(ModelConfig(**{"widths": (16, 32), "dropout": 0, **options}))
    pixels, labels = random_pixels(16), torch.arange(16) % 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(model.train()(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert (bear_logit(model(pixels)) > 0).eq(labels == 1).all()


def test_the_table_counts_every_parameter_and_multiply_add():
    model = build_model(ModelConfig(widths=(4, 6), kernel_size=(5, 3), stride=1, pooling="concat", residual=1))
    rows = describe_model(model, 16)
    assert sum(row.parameters for row in rows) == sum(parameter.numel() for parameter in model.parameters())
    convolutions = [row for row in rows if row.layer.startswith("convolution")]
    # Places of the map x channels out x (channels in x kernel x kernel): by hand.
    assert [row.multiply_adds for row in convolutions] == [
        16 * 16 * 4 * 3 * 25,
        16 * 16 * 4 * 4 * 25,
        8 * 8 * 6 * 8 * 9,
        8 * 8 * 6 * 6 * 9,
    ]
    assert rows[-1].name == "head"
    assert rows[-1].multiply_adds == 24 * 2
    assert [row.output_shape for row in rows if "pooling" in row.layer] == [(8, 8, 8), (12, 4, 4)]
    assert model.training, "describing must not change the mode"


def test_the_table_names_what_is_configured():
    model = build_model(ModelConfig(widths=(4, 6), input_dropout=0.1, conv_dropout=0.25, dropout=0.5, pooling="avg"))
    layers = [row.layer for row in describe_model(model, 16)]
    assert layers == [
        "dropout 0.1 of the pixels",
        "convolution 3 x 3, stride 2",
        "dropout 0.25 of the channels",
        "convolution 3 x 3, stride 2",
        "avg of the whole map",
        "dropout 0.5 of the features",
        "linear",
    ]


def test_concat_pooling_doubles_the_channels():
    assert ConcatPool(2)(torch.rand(1, 3, 4, 4)).shape == (1, 6, 2, 2)


def test_equal_seeds_give_equal_weights_to_the_bit():
    def weights(seed):
        torch.manual_seed(seed)
        return build_model(ModelConfig()).state_dict()

    first, second, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (1, 2), (3, 1)])
def test_without_a_norm_each_convolution_has_a_bias_in_its_place(kernel_size, stride):
    config = ModelConfig(widths=(4, 6), kernel_size=kernel_size, stride=stride, residual=1, norm="none")
    model = build_model(config).eval()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 4
    assert all(layer.bias is not None for layer in convolutions)
    maps = torch.rand(2, 3, 12, 12)
    first = model.blocks[0].convolution
    torch.testing.assert_close(first(maps), first[0](maps).relu())
    words = [row.layer for row in describe_model(model, 32) if row.layer.startswith("convolution")]
    assert len(words) == 4
    assert all(each.endswith(", no norm") for each in words)
