"""One training run in one process and in two (`bearcnn train --devices 2`), and what takes part in a step of it.

    python benchmarks/distributed.py [--size 64] [--photos 1024] [--data PHOTOS]

Every process has one compute thread, and the batch is the same: two processes have half of it each. The sum of
gradients and the making of batches are measured alone as well, since they limit more and faster devices. On one
computer this shows what the code costs; a network between computers, and GPUs, are measured where they are.
"""

import json
import statistics
import tempfile
from functools import partial
from pathlib import Path

from measure import (
    Sample,
    alternate,
    arguments,
    bearcnn_train,
    finish,
    in_own_process,
    middle,
    ratios,
    share,
    time_process,
    time_script,
)
from pictures import class_folders, small_photos
from training_speed import NETWORK

# The sum of a step's row by two processes, each of which has a copy of it.
SUM = """
import json, os, sys, tempfile, time
folder = tempfile.mkdtemp()
other = os.fork()
os.environ.update(RANK=str(int(other == 0)), WORLD_SIZE="2", BEARCNN_RENDEZVOUS=folder)
import torch
from bearcnn.config import load_config
from bearcnn.model.network import build_model
from bearcnn.training.gradients import count_elements
from bearcnn.training.world import join_world
model = build_model(load_config(None, sys.argv[1:]).model)
row = torch.zeros(count_elements(model, 1) - count_elements(model, 0))
with join_world() as world:
    def seconds(times):
        world.wait()
        start = time.perf_counter()
        for _ in range(times):
            world.add(row)
        return (time.perf_counter() - start) / times
    seconds(10)
    found = seconds(100)
if other:
    os.waitpid(other, 0)
    print(json.dumps({"milliseconds": 1000 * found, "megabytes": 4e-6 * len(row)}))
"""

# The batches of one of two slices, with all augmentation, and nobody who computes with them.
BATCHES = """
import json, sys, time
import torch
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.training.dataloaders import build_dataloaders
config = load_config(None, sys.argv[1:])
loader = build_dataloaders(config, Dataset.from_config(config.data), torch.device("cpu")).train
loader.cut(2, (0,))
photos = 0
for epoch in range(4):
    if epoch == 1:
        start = time.perf_counter()
    loader.epoch = epoch
    photos += sum(len(batch[0]) for batch in loader.create_batches(loader.get_idxs())) * (epoch > 0)
print(json.dumps({"images_per_second": photos / (time.perf_counter() - start)}))
"""


def main() -> None:
    """Measure, print and save."""
    parser = arguments(__doc__.splitlines()[0], rounds=3)
    parser.add_argument("--size", type=int, default=64, help="side in px")
    parser.add_argument("--photos", type=int, default=1024, help="to train on")
    parser.add_argument("--epochs", type=int, default=4, help="of each side, the first of which is left out")
    parser.add_argument("--batch-size", type=int, default=64, help="of all processes")
    options = parser.parse_args()
    settings = [
        *NETWORK,
        f"data.image_size={options.size}",
        "train.sizes=[]",
        f"train.epochs={options.epochs}",
        f"train.batch_size={options.batch_size}",
        "train.replicas=1",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = in_own_process(small_photos, folder, options.data)
        data = class_folders(photos, folder / "photos", options.photos, max(16, options.photos // 8))
        environment = {"OMP_NUM_THREADS": "1", "BEARCNN_CACHE": str(folder / "cache")}
        samples = alternate(
            {
                "one process": partial(_train, data, folder, settings, 1, environment),
                "two processes": partial(_train, data, folder, settings, 2, environment),
                "sum alone": lambda: time_script(SUM, *settings, **environment),
                "batches alone": lambda: time_script(BATCHES, f"data.path={data}", *settings, **environment),
            },
            options.rounds,
            warm_up=False,  # the first epoch is the warm-up
        )
    speeds = {
        side: [sample.values["images_per_second"] for sample in samples[side]]
        for side in ("one process", "two processes", "batches alone")
    }
    one, two, _ = speeds.values()
    lines = [f"{side:14} {middle(found, 'images/s', 0)}" for side, found in speeds.items()]
    sums = [sample.values["milliseconds"] for sample in samples["sum alone"]]
    size = samples["sum alone"][0].values["megabytes"]
    lines.append(f"sum alone      {middle(sums, 'ms')} for {size:.1f} MB, once a step")
    lines.append(
        f"two processes train {ratios(two, one, 2)} as fast: {share(two, [2 * each for each in one])} of twice"
    )
    finish(
        f"one training run in two processes, {options.size} px, batch size {options.batch_size}",
        options.out / f"distributed-{options.size}.json",
        lines,
        samples,
        options={key: str(value) for key, value in vars(options).items()},
    )


def _train(data: Path, folder: Path, settings: list[str], devices: int, environment: dict[str, str]) -> Sample:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run = Path(name) / "run"
        command = [*bearcnn_train(data, run, settings), "--devices", str(devices)]
        sample = time_process(command, **environment)
        records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    later = [record["images_per_second"] for record in records[1:]]
    return Sample(sample.seconds, values={"images_per_second": statistics.harmonic_mean(later)})


if __name__ == "__main__":
    main()
