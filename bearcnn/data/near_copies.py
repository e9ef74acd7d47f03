"""Near copies: photos that look the same although their files differ, found by perceptual hashes (ImageHash)."""

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16  # a difference hash of 256 bits: 64 are too few for pale or dark pictures, which would all be alike
HASH_BITS = HASH_SIDE * HASH_SIDE

NEAR_COPY_DISTANCE = 40
"""The most bits of 256 by which a photo and a copy of it differ, as a check of a data set looks for them.

Of 2,458 web photos all 12 pairs up to 52 bits apart were copies to the eye, and the first two that weren't had 53; of
3,140 pictures of CIFAR-100 all 11 pairs up to 49 were. 308 photos resized to half or to 64 px and saved again, darkened
to half, or cut by 1% on each side, were all within 40 bits of the original; of those cut by 2% it was 93%; of those cut
by 5%, 1%. A mirrored copy isn't found.
"""


def hash_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the difference hash of one picture (height, width, 3), as (32,) bytes."""
    found = imagehash.dhash(Image.fromarray(np.asarray(pixels)), HASH_SIDE)
    return np.packbits(found.hash.ravel())


def find_near_copies(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """Return the number of each picture's group, (n,), from 0 in the order of the groups' first pictures.

    Pictures at most `distance` bits apart are in one group. A group is a chain: its first and its last picture may be
    further apart. Time grows with the square of the number of groups, and memory with the number of pictures: ten
    thousand frames of one scene are no pairs to be listed.

    Args:
        hashes: from `hash_picture`, (n, 32).
        distance: of 256 bits.
    """
    words = np.ascontiguousarray(np.ascontiguousarray(hashes).view(np.uint64).T)  # (4, n): each a row, for speed
    groups = np.full(len(hashes), -1, np.int64)
    number = 0
    for first in range(len(hashes)):
        if groups[first] >= 0:
            continue
        groups[first] = number
        waiting = [first]
        while waiting:
            row = waiting.pop()
            apart = np.zeros(len(hashes) - first - 1, np.uint16)
            for word in words:  # those before `first` are far from all that are left
                apart += np.bitwise_count(word[first + 1 :] ^ word[row])
            near = np.flatnonzero(apart <= distance) + first + 1
            near = near[groups[near] < 0]
            groups[near] = number
            waiting += near.tolist()
        number += 1
    return groups
