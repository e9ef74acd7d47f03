"""A rank of a training run in two: trains, and writes what it has; started as `python -m tests.helpers.ranks`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from fastai.callback.core import Callback, CancelFitException
from safetensors.torch import save_file
from torch import nn

from bearcnn.config import Config
from bearcnn.data.dataset import Dataset
from bearcnn.runs import create_run
from bearcnn.training.distributed import Distributed
from bearcnn.training.fit import fit
from bearcnn.training.learner import build_learner, build_network
from bearcnn.training.slices import Slices
from bearcnn.training.world import join_world
from tests.helpers.training import small_config

IN_TWO = ("train.epochs=2", "train.batch_size=13", "train.subclasses=true", "model.conv_dropout=0.1")
WHOLE_BATCH = ("train.replicas=1", "train.batch_size=9", "model.dropout=0", "model.input_dropout=0")


class _Keep(Callback):
    def before_step(self) -> None:
        self.gradients = {name: weight.grad.clone() for name, weight in self.model.named_parameters()}
        raise CancelFitException


def first_gradient(config: Config, dataset: Dataset, replicas: Slices | None) -> dict[str, torch.Tensor]:
    """The gradient of the first batch, of a network without batch norm."""
    network = build_network(config, dataset)
    for block in network.blocks:
        block.convolution[1] = nn.Identity()
    keep = _Keep()
    learner = build_learner(config, dataset, model=network, cbs=[keep], replicas=replicas)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    return {name: gradient.contiguous() for name, gradient in keep.gradients.items()}


def main(photos: str, folder: Path) -> None:
    config = small_config(Path(photos), *IN_TWO)
    with join_world() as world:
        dataset = world.in_turn(lambda: Dataset.from_config(config.data))
        run = world.share(lambda: create_run(folder / "run", config))
        result = fit(run, dataset, world=world)
        weights = {name: value.contiguous() for name, value in result.learner.model.state_dict().items()}
        save_file(weights, folder / f"weights-{world.rank}.safetensors")
        timed = {"seconds", "images_per_second"}
        records = [
            {key: value for key, value in asdict(each).items() if key not in timed} for each in result.state.records
        ]
        (folder / f"history-{world.rank}.json").write_text(json.dumps(records))
        gradient = first_gradient(small_config(Path(photos), *WHOLE_BATCH), dataset, Distributed(world, 0))
        save_file(gradient, folder / f"gradient-{world.rank}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
