"""Near copies: photos that look the same although their files differ, found by perceptual hashes (ImageHash)."""

from collections import defaultdict
from collections.abc import Iterator

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16  # a difference hash of 256 bits: 64 are too few for pale or dark pictures, which would all be alike
_BYTES = HASH_SIDE * HASH_SIDE // 8


def hash_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the difference hash of one picture (height, width, 3), as (32,) bytes."""
    found = imagehash.dhash(Image.fromarray(np.asarray(pixels)), HASH_SIDE)
    return np.packbits(found.hash.ravel())


def find_near_copies(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """Return the number of each picture's group, (n,): pictures at most `distance` bits apart are in one group.

    A group is a chain: its first and its last picture may be further apart. Two hashes so near are equal in at least
    one of `distance` + 1 parts, so that only pictures with an equal part are compared.

    Args:
        hashes: from `hash_picture`, (n, 32).
        distance: of 256 bits.
    """
    different, numbers = np.unique(hashes, axis=0, return_inverse=True)  # a thousand black pictures are one
    pairs = np.array(list(_find_pairs(different, distance)), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(different), len(different)))
    return np.asarray(connected_components(graph, directed=False)[1][numbers], np.int64)


def _find_pairs(hashes: NDArray[np.uint8], distance: int) -> Iterator[tuple[int, int]]:
    bits = np.unpackbits(hashes, axis=1)
    for part in np.array_split(np.arange(bits.shape[1]), distance + 1):
        same: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(np.packbits(bits[:, part], axis=1)):
            same[key.tobytes()].append(row)
        for rows in same.values():
            for place, row in enumerate(rows[:-1]):
                others = np.array(rows[place + 1 :])
                apart = np.bitwise_count(hashes[others] ^ hashes[row]).sum(axis=1)
                yield from ((row, int(other)) for other in others[apart <= distance])
