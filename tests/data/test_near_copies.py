"""Perceptual hashes and the groups of near copies."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bearcnn.data.near_copies import find_near_copies, hash_picture
from bearcnn.data.synthetic.scene import draw_scene


def apart(one, other):
    return int(np.bitwise_count(one ^ other).sum())


@pytest.fixture(scope="module")
def scenes():
    return [np.asarray(draw_scene(0, index, size=96, is_bear=index % 2 == 0).image) for index in range(12)]


def test_a_smaller_and_more_compressed_copy_is_near_and_another_scene_is_far(scenes):
    hashes = [hash_picture(scene) for scene in scenes]
    for scene, whole in zip(scenes, hashes, strict=True):
        buffer = BytesIO()
        Image.fromarray(scene).resize((64, 64)).save(buffer, "JPEG", quality=60)
        assert apart(whole, hash_picture(np.asarray(Image.open(buffer)))) <= 24
    assert min(apart(a, b) for number, a in enumerate(hashes) for b in hashes[:number]) > 48


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.just(32)), elements=st.sampled_from([0, 1, 3, 255])),
    st.integers(0, 40),
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
