import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bearcnn.config import AugmentConfig
from bearcnn.training.augment import augment_batch
from bearcnn.training.dataloaders import PixelLoader
from bearcnn.training.pixel_dataset import PixelDataset

STILL = AugmentConfig(flip=0, crop=1, stretch=1, rotation=0, brightness=0, contrast=0)


def only(**options) -> AugmentConfig:
    return AugmentConfig(**{**STILL.model_dump(), **options})


def photos(count: int, size: int = 8) -> np.ndarray:
    """Each photo is filled with its own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 3))


def make_loader(count=40, **options) -> PixelLoader:
    labels = np.arange(count) % 4 == 0
    options = {"batch_size": 8, "augment": STILL, "subclasses": None, **options}
    bs, subclasses, training = options.pop("batch_size"), options.pop("subclasses"), options["augment"] is not None
    rows, classes = np.arange(count), ("not_bear", "bear")
    data = PixelDataset(range(count), photos(count), rows, labels.astype(np.int64), subclasses, classes, "squish")
    return PixelLoader(data, min(bs, count), shuffle=training, drop_last=training, **options)


def seen(loader) -> list[int]:
    return [round(float(photo.float().mean())) for pixels, _ in loader for photo in pixels]


def vary(pixels: torch.Tensor, config: AugmentConfig, size: int | None = None) -> torch.Tensor:
    """Augmented pixels (batch, 3, size, size) as shares of 1."""
    photos = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
    varied = augment_batch(photos, size or pixels.shape[-1], config, np.random.default_rng(0))
    assert varied.dtype == np.uint8
    return torch.from_numpy(varied).permute(0, 3, 1, 2).float() / 255


def test_training_shows_each_photo_once_an_epoch_in_a_new_order_with_its_label():
    loader = make_loader()
    epochs = []
    for loader.epoch in range(3):
        for pixels, labels in loader:
            assert pixels.shape == (8, 3, 8, 8)
            numbers = pixels.float().mean((1, 2, 3)).round()
            assert labels.tolist() == (numbers % 4 == 0).long().tolist()
        epochs.append(seen(loader))
        assert sorted(epochs[-1]) == list(range(40))
    assert epochs[0] != epochs[1] != epochs[2]
    loader.epoch = 1
    assert seen(loader) == epochs[1]


def test_training_leaves_the_rest_that_fills_no_batch_and_evaluation_does_not():
    assert len(seen(make_loader(21))) == 16
    evaluation = make_loader(21, augment=None)
    batches = list(evaluation)
    assert [len(labels) for _, labels in batches] == [8, 8, 5]
    assert all(pixels.dtype == torch.uint8 for pixels, _ in batches)
    assert [int(photo.flatten()[0]) for pixels, _ in batches for photo in pixels] == list(range(21))


def test_a_data_set_smaller_than_a_batch_still_gives_one():
    assert [len(labels) for _, labels in make_loader(5, batch_size=64)] == [5]


def test_sampling_draws_both_classes_equally_often():
    labels = torch.cat([labels for _, labels in make_loader(sampling=True)])
    assert labels.sum() == 20
    assert torch.cat([labels for _, labels in make_loader()]).sum() == 10


def test_other_seeds_give_other_orders_and_equal_ones_the_same_bits():
    config = AugmentConfig()
    first, again, other = (list(make_loader(augment=config, seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_batches_are_laid_out_channels_last_for_the_convolutions():
    pixels, _ = next(iter(make_loader(augment=AugmentConfig())))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def random_photos(count=4, size=16) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_no_augmentation_changes_nothing():
    pixels = random_photos()
    torch.testing.assert_close(vary(pixels, STILL), pixels.float() / 255)


def test_a_certain_flip_mirrors_left_to_right():
    pixels = random_photos()
    flipped = vary(pixels, only(flip=1))
    torch.testing.assert_close(flipped, (pixels.float() / 255).flip(3), atol=1e-2, rtol=0)


def test_about_the_asked_share_is_flipped():
    pixels = random_photos(400)
    flipped = vary(pixels, only(flip=0.3))
    share = torch.isclose(flipped, (pixels.float() / 255).flip(3), atol=1e-2).all((1, 2, 3)).float().mean()
    assert 0.2 < share < 0.4


def corners(size=65) -> torch.Tensor:
    """A photo whose red is the horizontal and green the vertical place, to read where a pixel came from."""
    line = torch.linspace(0, 255, size).round().to(torch.uint8)
    return torch.stack(
        [line.expand(size, size), line[:, None].expand(size, size), torch.zeros(size, size, dtype=torch.uint8)]
    )


def test_a_crop_keeps_at_least_the_asked_area_and_stays_inside():
    pixels = corners().expand(200, -1, -1, -1)
    cropped = vary(pixels, only(crop=0.25))
    width = cropped[:, 0].amax((1, 2)) - cropped[:, 0].amin((1, 2))
    height = cropped[:, 1].amax((1, 2)) - cropped[:, 1].amin((1, 2))
    area = width * height
    assert area.min() > 0.22
    assert area.max() > 0.85
    assert torch.allclose(width, height, atol=0.03), "without stretch a crop is square"


def test_stretch_changes_the_aspect_ratio_within_its_bound():
    pixels = corners().expand(200, -1, -1, -1)
    stretched = vary(pixels, only(crop=0.3, stretch=1.5))
    width = stretched[:, 0].amax((1, 2)) - stretched[:, 0].amin((1, 2))
    height = stretched[:, 1].amax((1, 2)) - stretched[:, 1].amin((1, 2))
    ratio = width / height
    assert ratio.max() < 1.5 * 1.05
    assert ratio.max() > 1.3
    assert ratio.min() < 1 / 1.3


def test_rotation_stays_within_its_bound():
    pixels = corners().expand(200, -1, -1, -1)
    turned = vary(pixels, only(rotation=20))
    centre = slice(28, 37)
    across = turned[:, 0, 32, centre].diff(dim=1).mean(1)
    down = turned[:, 0, centre, 32].diff(dim=1).mean(1)
    angles = torch.rad2deg(torch.atan2(down, across))
    assert angles.abs().max() <= 21
    assert angles.max() > 15
    assert angles.min() < -15


def test_brightness_and_contrast_stay_within_their_bounds():
    grey = torch.full((300, 3, 4, 4), 128, dtype=torch.uint8)
    brighter = vary(grey, only(brightness=0.2)).mean((1, 2, 3)) - 128 / 255
    assert brighter.abs().max() <= 0.2 + 1 / 255
    assert brighter.max() > 0.15
    assert brighter.min() < -0.15
    stripes = torch.cat([grey[..., :2] - 28, grey[..., 2:] + 28], 3)
    contrasted = vary(stripes, only(contrast=0.2))
    factor = (contrasted[..., 3] - contrasted[..., 0]).mean((1, 2)) / (56 / 255)
    assert 0.78 <= factor.min() < 0.85
    assert 1.18 < factor.max() <= 1.27


@settings(deadline=None, max_examples=30)
@given(
    flip=st.floats(0, 1),
    crop=st.floats(0.05, 1),
    stretch=st.floats(1, 3),
    rotation=st.floats(0, 180),
    brightness=st.floats(0, 0.99),
    contrast=st.floats(0, 0.99),
)
def test_augmented_pixels_are_always_pixels(flip, crop, stretch, rotation, brightness, contrast):
    config = AugmentConfig(
        flip=flip, crop=crop, stretch=stretch, rotation=rotation, brightness=brightness, contrast=contrast
    )
    augmented = vary(random_photos(), config)
    assert augmented.shape == (4, 3, 16, 16)
    assert augmented.std() >= 0


@pytest.mark.parametrize("size", [8, 12, 16, 24, 32])
def test_smaller_training_pictures_show_the_same_places(size):
    pixels = corners(64)[None]
    smaller = vary(pixels, STILL, size)
    assert smaller.shape == (1, 3, size, size)
    # Bands of equal width: the mean of each is that of the same band of the large picture.
    for channel, axis in ((0, 1), (1, 0)):
        bands = smaller[0, channel].mean(1 - axis).view(4, -1).mean(1)
        wanted = (pixels[0, channel].float() / 255).mean(1 - axis).view(4, -1).mean(1)
        torch.testing.assert_close(bands, wanted, atol=0.01, rtol=0)


def test_shrinking_averages_and_skips_no_pixel():
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 255
    pixels = checks.to(torch.uint8).expand(1, 3, 32, 32)
    assert (vary(pixels, STILL, 8) - 0.5).abs().max() < 0.02


def test_evaluation_shrinks_too():
    loader = make_loader(augment=None)
    loader.size = 4
    pixels, labels = next(iter(loader))
    assert pixels.shape == (8, 3, 4, 4)
    assert pixels[:, 0, 0, 0].tolist() == list(range(8))
    assert len(labels) == 8


def test_subclasses_stay_with_their_photos():
    subclasses = np.arange(40) % 5
    loader = make_loader(subclasses=subclasses)
    for pixels, labels, batch_subclasses in loader:
        numbers = pixels.float().mean((1, 2, 3)).round().long()
        assert torch.equal(batch_subclasses, numbers % 5)
        assert torch.equal(labels, (numbers % 4 == 0).long())


@pytest.mark.parametrize("different", [{"seed": 1}, {"epoch": 1}])
def test_each_batch_is_varied_in_its_own_way(different):
    def first_batches(seed=0, epoch=0):
        pixels, rows = np.repeat(corners(16).permute(1, 2, 0).numpy()[None], 16, 0), np.arange(16)
        data = PixelDataset(range(16), pixels, rows, rows % 2, None, ("not_bear", "bear"), "squish")
        loader = PixelLoader(data, 8, shuffle=True, drop_last=True, augment=AugmentConfig(), seed=seed)
        loader.epoch = epoch
        return [pixels for pixels, _ in loader]

    first, second = first_batches()
    assert torch.equal(first, first_batches()[0])
    assert not torch.equal(first, second)
    assert not torch.equal(first, first_batches(**different)[0])


def test_a_repeated_epoch_shows_each_photo_so_often_and_begins_like_a_single_one():
    single, thrice = make_loader(), make_loader(repeats=3)
    assert len(thrice) == 15
    numbers = seen(thrice)
    assert sorted(numbers) == sorted(3 * list(range(40)))
    assert numbers[:40] == seen(single)
    assert numbers[:40] != numbers[40:80] != numbers[80:]
    assert len(seen(make_loader(repeats=3, augment=None))) == 40, "evaluation shows each photo once"


def test_few_photos_are_repeated_until_there_are_enough_steps(photos):
    from bearcnn.data.dataset import Dataset
    from bearcnn.training.dataloaders import build_dataloaders
    from tests.helpers.training import small_config

    for steps, count, per_epoch in ((0, 0, 4), (9, 0, 9), (20, 8, 10), (21, 3, 11)):
        config = small_config(photos, f"train.min_steps={steps}", f"data.photos={count}")  # 2 epochs, batches of 8
        dataset = Dataset.from_config(config.data).limit(count, 0)
        assert len(build_dataloaders(config, dataset, torch.device("cpu")).train) == per_epoch
