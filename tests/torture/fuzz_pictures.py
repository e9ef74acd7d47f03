"""Endless damage to pictures: guided by coverage where atheris is installed, else at random.

    python -m tests.torture.fuzz_pictures --seconds 600
    pip install atheris; python -m tests.torture.fuzz_pictures --seconds 600 [arguments of libFuzzer]

Anything but a picture or a PhotoError ends it with a traceback; the file is kept as crash-... in the current folder.
"""

import argparse
import sys
import tempfile
import time
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["PIL", "bearcnn"]) if atheris else nullcontext():
    from bearcnn.data.metadata import read_metadata
    from bearcnn.data.photos import load_pixels
    from bearcnn.errors import PhotoError
    from tests.helpers.mutations import VARIANTS, draw_whole, mutate

import numpy as np


def try_bytes(data: bytes) -> None:
    """Read bytes as a photo and for their metadata; raises anything but a PhotoError."""
    read_metadata(BytesIO(data))
    try:
        pixels = load_pixels(BytesIO(data), 32, "squish")
    except PhotoError as error:
        assert 0 < len(str(error)) < 80
        return
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8


def try_at_random(seconds: float, seed: int) -> int:
    """Damage pictures for so long; returns their number."""
    formats, end, number = list(VARIANTS), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        _, data, _ = mutate(formats[number % len(formats)], number, seed)
        try:
            try_bytes(data)
        except BaseException:
            Path(f"crash-{seed}-{number}").write_bytes(data)
            raise
        number += 1
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options, rest = parser.parse_known_args()
    if atheris is None:
        number = try_at_random(options.seconds, options.seed)
        sys.stdout.write(
            f"{number:,} damaged pictures at random (atheris isn't installed): a picture or a reason each\n"
        )
        return
    with tempfile.TemporaryDirectory() as corpus:
        for file_format in VARIANTS:
            for number in range(len(VARIANTS[file_format])):
                (Path(corpus) / f"{file_format}-{number}").write_bytes(draw_whole(file_format, number))
        limits = [f"-max_total_time={options.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=100000"]
        atheris.Setup([sys.argv[0], *limits, *rest, corpus], try_bytes)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
