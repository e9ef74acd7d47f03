"""Measures of decoded pixels: perceptual hashes, brightness and colour."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bearcnn.data import OnProgress
from bearcnn.data.cache import PixelCache
from bearcnn.data.near_copies import has_detail, hash_picture
from bearcnn.inference.score import is_grey
from bearcnn.machine import usable_cpus

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SAMPLES = 64
"""Pixels of a side that brightness is taken from: shares of a picture need no more."""
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of each row of some pixels; zeros where there is no picture."""

    hashes: NDArray[np.uint8]  # (n, 32), from `near_copies.hash_picture`
    low: NDArray[np.float32]  # (n,), the brightness, 0 to 255, that 1% of the picture is below
    dim: NDArray[np.float32]  # 5% is below
    bright: NDArray[np.float32]  # 99% is below
    detailed: NDArray[np.bool_]  # there is enough on it for its hash to tell it from others
    grey: NDArray[np.bool_]  # no colour: infrared, or a black-and-white photo


def measure(cache: PixelCache, rows: Sequence[int], on_progress: OnProgress | None = None) -> Measures:
    """Measure some rows of a pixel cache, in threads; `on_progress` counts photos."""
    pixels, count = cache.pixels, len(cache.pixels)
    low, dim, bright = (np.zeros(count, np.float32) for _ in range(3))
    measures = Measures(np.zeros((count, 32), np.uint8), low, dim, bright, np.zeros(count, bool), np.zeros(count, bool))
    step = max(1, pixels.shape[1] // _SAMPLES)

    def fill(chunk: Sequence[int]) -> int:
        for row in chunk:
            picture, look = np.asarray(pixels[row]), np.asarray(cache.looks[row])
            measures.hashes[row] = hash_picture(look)
            sampled = picture[step // 2 :: step, step // 2 :: step]
            low[row], dim[row], bright[row] = np.percentile(sampled @ _GREY, (1, 5, 99))
            measures.detailed[row] = has_detail(look)
            measures.grey[row] = is_grey(sampled)
        return len(chunk)

    done = 0
    with ThreadPoolExecutor(usable_cpus(), thread_name_prefix="measure") as executor:
        for number in executor.map(fill, (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))):
            done += number
            if on_progress is not None:
                on_progress(done, len(rows))
    return measures
