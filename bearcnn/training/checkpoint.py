"""Checkpoints in two safetensors files with digests: the last epoch with the optimizer's state, and the best epoch.

A body's frozen stages are in neither. No random state is kept: all randomness in an epoch follows from the seed and its
number (`callbacks.SeedEpoch`).
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from bearcnn.errors import ResumeError
from bearcnn.files import write_atomically
from bearcnn.model.network import load_trained_state, trained_state
from bearcnn.runs import EpochRecord, Run
from bearcnn.runs.reading import check, parse_json
from bearcnn.safetensors_file import read_sealed, seal_safetensors

_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass(slots=True)
class TrainingState:
    """The finished epochs of a training run and the best of them, kept in the checkpoint beside the weights."""

    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    best_size: int = 0  # of the training pictures in the best epoch
    stopped_early: bool = False
    unfrozen: int = 0  # last stages of the body that learn in this phase; 0 in the first
    loss_scale: dict[str, int | float] = field(default_factory=dict)  # of float16's gradients; empty in other formats
    devices: int = 1  # processes that trained the last epoch, each a slice of every batch
    threads: int = 0  # of torch: where they share a step, their number changes the weights' bits; 0 in older runs
    computed_with: str = ""  # torch's version and the processor's instructions: others round otherwise
    config: dict[str, Any] = field(default_factory=dict)  # of the epochs so far; empty in older runs

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `write_checkpoint` wrote; raises ValueError with a reason."""
        state: Self = check(TypeAdapter(cls).validate_python, parse_json(text))
        epochs = [record.epoch for record in state.records]
        if epochs != list(range(1, len(epochs) + 1)) or not 0 <= state.best_epoch <= len(epochs):
            raise ValueError("its epochs don't follow each other")
        return state

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.records)

    @property
    def phase_epochs(self) -> int:
        """The number of finished epochs in this phase: with the body frozen, or with its last stages learning."""
        return sum(record.unfrozen == self.unfrozen for record in self.records)

    @property
    def best(self) -> EpochRecord:
        """The best epoch; the last one if none had a score."""
        return self.records[self.best_epoch - 1]

    def summary(self, monitor: str) -> dict[str, Any]:
        """Return the training run's part of metrics.json."""
        unfrozen = {"unfrozen_epochs": self.phase_epochs} if self.unfrozen else {}
        return {
            "epochs": self.epochs,
            **unfrozen,
            "best_epoch": self.best_epoch,
            "monitor": monitor,
            "seconds": sum(record.seconds for record in self.records),
        }


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The end of an epoch: the state of the training run, and every tensor by its name in the file."""

    path: Path
    state: TrainingState
    tensors: dict[str, Tensor]

    def restore_model(self, model: nn.Module) -> None:
        """Put the weights into a model of the same shape.

        Raises:
            ResumeError: the model has another shape.
        """
        weights = {name[len(_MODEL) :]: tensor for name, tensor in self.tensors.items() if name.startswith(_MODEL)}
        try:
            load_trained_state(model, weights)
        except RuntimeError as error:
            raise self._misfit(error) from None

    def restore_optimizer(self, optimizer: Any) -> None:
        """Restore the state of fastai's optimizer in place.

        Raises:
            ResumeError: the optimizer belongs to another model.
        """
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            if name.startswith(_OPTIMIZER):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = tensor
        try:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
            _lay_out_like_parameters(optimizer.opt)
        except (RuntimeError, ValueError, KeyError) as error:
            raise self._misfit(error) from None

    def _misfit(self, error: Exception) -> ResumeError:
        return ResumeError(f"the checkpoint {self.path} doesn't fit the model: {' '.join(str(error).split())[:200]}")


def last_file(run: Run) -> Path:
    """Return the path of the last epoch's file; before the end of the first epoch it doesn't exist."""
    return run.checkpoints / "last.safetensors"


def best_file(run: Run) -> Path:
    """Return the path of the best epoch's weights."""
    return run.checkpoints / "best.safetensors"


def write_checkpoint(run: Run, state: TrainingState, model: nn.Module, optimizer: Any) -> None:
    """Write the end of an epoch, and its weights separately if it is the best so far."""
    run.checkpoints.mkdir(exist_ok=True)
    weights = trained_state(model)
    if state.records[-1].best:
        write_atomically(best_file(run), seal_safetensors(save(_contiguous(weights)), {}), overwrite=True)
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in weights.items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": tensor for name, tensor in values.items()}
    metadata = {"progress": json.dumps(asdict(state))}
    write_atomically(last_file(run), seal_safetensors(save(_contiguous(tensors)), metadata), overwrite=True)


def read_checkpoint(run: Run) -> Checkpoint:
    """Read the end of the last finished epoch; state and weights come from one reading of the file.

    Raises:
        ResumeError: there is no checkpoint, or it is damaged.
    """
    path = last_file(run)
    if not path.is_file():
        raise ResumeError(
            f"{run.directory} has no checkpoint any more, and can't be continued; start a new run with: bearcnn train "
            f"--config {run.config_file}"
        )
    try:
        metadata, content = read_sealed(path)
        return Checkpoint(path, TrainingState.from_json(metadata["progress"]), load(content))
    except Exception as error:
        # A damaged header raises safetensors' own type, other damage other types: in each case the file is unusable.
        raise ResumeError(f"{path} is damaged ({error}); this run can't be continued: start a new one") from None


def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    # The fused optimizer steps through memory and expects a parameter and its averages in the same layout.
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(tensor)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors stores plain layouts only, and a channels-last model's weights are laid out channels-last.
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
