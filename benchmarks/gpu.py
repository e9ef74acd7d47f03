"""Images per second of training on one GPU, beside plain fastai and beside the network fed from memory.

    python benchmarks/gpu.py [--size 128] [--data PHOTOS]

The three sides of `training_speed.py`, on the GPU that torch finds. "Fed from memory" is its ceiling: the same network,
loss, optimizer and number format on one batch that stays on the GPU. On a GPU of float16 it leaves out the scaling of
the loss. Each side's first epoch warms up and doesn't count. Without CUDA the command says so and ends with status 1.
"""

import sys
import tempfile
from pathlib import Path

import torch
from measure import arguments, cores, finish, in_own_process, middle, ratios, share
from pictures import class_folders, small_photos
from training_speed import measure_sides, speeds_of

GOALS = "goals: 10 x as fast as plain fastai, 60% of the network fed from memory"


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--size", type=int, default=128, help="side in px")
    parser.add_argument("--photos", type=int, default=8192, help="to train on")
    parser.add_argument("--epochs", type=int, default=4, help="of each side, the first of which doesn't count")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=cores(), help="processes of plain fastai (default: the cores)")
    parser.add_argument("--seconds", type=float, default=8, help="that the network fed from memory is measured for")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for bearcnn; can be repeated")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs: the first doesn't count, so there must be another")
    if not torch.cuda.is_available():
        sys.exit("torch finds no CUDA GPU here: nothing was measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = in_own_process(small_photos, folder, options.data)
        data = class_folders(photos, folder / "photos", options.photos, max(16, options.photos // 8))
        options.busy = (0,)
        samples = measure_sides(options.size, data, folder, options)[0]
    speeds = speeds_of(samples)
    theirs, ours, limit = speeds
    finish(
        f"training on one GPU at {options.size} px, {options.photos} small photos, batch size {options.batch_size}",
        options.out / f"gpu-{options.size}.json",
        [
            *(f"{side:13} {middle(speeds[side], 'images/s', 0)}" for side in speeds),
            f"bearcnn trains {ratios(speeds[ours], speeds[theirs])} as fast as plain fastai",
            f"bearcnn reaches {share(speeds[ours], speeds[limit])} of the network fed from memory",
            GOALS,
            f"on {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}",
        ],
        samples,
        options={key: str(value) for key, value in vars(options).items()},
        gpu=torch.cuda.get_device_name(),
    )


if __name__ == "__main__":
    main()
