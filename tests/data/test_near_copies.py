"""Perceptual hashes and the groups of near copies."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bearcnn.data.near_copies import SAME_EVENT, find_near_copies, group_near_copies, has_detail, hash_picture
from bearcnn.data.photos import take_look
from bearcnn.data.synthetic.scene import draw_scene


def apart(one, other):
    return int(np.bitwise_count(one ^ other).sum())


def look(pixels, **options):
    """The look of a picture as it is after a JPEG file."""
    buffer = BytesIO()
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    image.save(buffer, "JPEG", **options)
    return take_look(buffer.getvalue(), Image.open(buffer).convert("RGB"))


@pytest.fixture(scope="module")
def scenes():
    return [np.asarray(draw_scene(0, index, size=96, is_bear=index % 2 == 0).image) for index in range(40)]


def test_a_smaller_and_more_compressed_copy_is_near_and_another_scene_is_far(scenes):
    hashes = [hash_picture(scene) for scene in scenes[:12]]
    for scene, whole in zip(scenes, hashes, strict=False):
        buffer = BytesIO()
        Image.fromarray(scene).resize((64, 64)).save(buffer, "JPEG", quality=60)
        assert apart(whole, hash_picture(np.asarray(Image.open(buffer)))) <= SAME_EVENT / 2
    assert min(apart(a, b) for number, a in enumerate(hashes) for b in hashes[:number]) > SAME_EVENT


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.just(32)), elements=st.sampled_from([0, 1, 3, 255])),
    st.integers(0, 60),
)
def test_groups_are_the_chains_of_all_pairs_that_are_near(hashes, distance):
    groups = find_near_copies(hashes, distance)
    parent = list(range(len(hashes)))
    for _ in hashes:
        for a in range(len(hashes)):
            for b in range(len(hashes)):
                if apart(hashes[a], hashes[b]) <= distance:
                    parent[a] = parent[b] = min(parent[a], parent[b])
    assert (groups[:, None] == groups[None]).tolist() == [[a == b for b in parent] for a in parent]
    assert list(dict.fromkeys(groups.tolist())) == list(range(groups.max() + 1))


def test_frames_of_one_scene_are_a_group_and_drawn_scenes_are_none(scenes):
    moved = [np.roll(scenes[3], 1, axis=1), scenes[3] // 2 + 40]  # the camera shook; a cloud came
    groups = group_near_copies(np.stack([look(scene, quality=70) for scene in [*scenes, *moved]]))
    assert groups[3] == groups[40] == groups[41]
    assert len(set(groups[:40])) == 40


def draw_nights(count: int, level: float, noise: float, flash: float):
    """Infrared frames with little in them: noise, a flash that fades, and the same black bar with a date."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[:128, :128]
    for _ in range(count):
        (cx, cy), width = random.uniform(40, 88, 2), random.uniform(25, 45)
        frame = level + flash * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
        frame = np.clip(frame + random.normal(0, noise, frame.shape), 0, 255)
        frame[118:] = 0
        frame[120:126, 8:60] = 255 * (random.random((6, 52)) > 0.5)
        yield np.repeat(frame.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("kind", [(0, 0, 0), (8, 2, 0), (8, 5, 60), (20, 10, 40), (30, 10, 80)])
def test_nights_with_nothing_in_them_are_not_alike(kind):
    looks = np.stack([look(night, quality=80) for night in draw_nights(60, *kind)])
    assert not any(has_detail(each) for each in looks)
    assert len(set(group_near_copies(looks))) == 60


@pytest.mark.slow  # 10,000 frames
def test_many_frames_of_few_cameras_need_no_list_of_pairs():
    random = np.random.default_rng(0)
    cameras = random.integers(0, 256, (5, 32), dtype=np.uint8)
    bits = np.unpackbits(np.repeat(cameras, 2000, axis=0), axis=1)
    hashes = np.packbits(bits ^ (random.random(bits.shape) < 0.05), axis=1)
    assert (find_near_copies(hashes, SAME_EVENT) == np.repeat(np.arange(5), 2000)).all()
