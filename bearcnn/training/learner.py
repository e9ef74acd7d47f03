"""A configuration and a data set -> the fastai `Learner` that the command line trains."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.schedule import LRFinder, valley
from fastai.learner import Learner, Recorder
from fastai.optimizer import OptimWrapper
from fastai.torch_core import trainable_params
from numpy.typing import NDArray
from torch import nn

from bearcnn.config import Config, Precision, TrainConfig
from bearcnn.data.dataset import Dataset
from bearcnn.errors import ConfigError
from bearcnn.geometry import map_sizes
from bearcnn.model.network import BearCNN, build_model
from bearcnn.reporter import OnMaps
from bearcnn.training.callbacks import CountBatches, SeedEpoch
from bearcnn.training.dataloaders import build_dataloaders
from bearcnn.training.device_loader import keep_on_device
from bearcnn.training.device_recorder import DeviceRecorder
from bearcnn.training.event_learner import EventLearner
from bearcnn.training.losses import SubclassCrossEntropy
from bearcnn.training.maps import Views, open_maps
from bearcnn.training.precision import BFloat16Blocks, Float16Blocks
from bearcnn.training.replicas import Replicas
from bearcnn.training.slices import Slices


def build_learner(
    config: Config,
    dataset: Dataset,
    *,
    model: BearCNN | None = None,
    cbs: Sequence[Callback] = (),
    on_maps: OnMaps = lambda *_: None,
    replicas: Slices | None = None,
) -> Learner:
    """Build the Learner of a configuration and a data set; nothing is trained yet.

    A network with an unfrozen body (`unfreeze`) learns from pixels, at a rate of its own for each of the body's stages.

    All of fastai's calls work on it: `lr_find`, `fit_one_cycle`, `get_preds`, `predict(path)`, `export`, ... Its
    callbacks are those named here and `cbs`; fastai's global defaults have no effect. Its network takes uint8 (batch,
    3, n, n) and gives logits (batch, outputs); its loss turns them into the probabilities of the two classes.

    Args:
        config: the network and how it is trained.
        dataset: photos with a train and a valid split, of `config.data.image_size`.
        model: the network; a fresh one, from `config.train.seed`, unless given.
        cbs: further callbacks.
        on_maps: is told how computing the maps of a pretrained body goes, where the cache lacks them.
        replicas: how steps are cut into slices; by default as `config.train.replicas` says, and not if that is auto.
    """
    device, settings = choose_device(), config.train
    if model is None:
        model = build_network(config, dataset)
    model = lay_out(model, device)
    body = model.body
    maps = None
    if body is not None and not body.fine_tuned:
        maps = open_maps(body, dataset, config.data, on_maps, views=Views.of(config))
        _check_map(config, maps.shape[2])
    unfrozen = body is not None and body.unfrozen > 0
    replicas = replicas or Replicas(config)
    recorder = Recorder() if device.type == "cpu" else DeviceRecorder()
    callbacks = [TrainEvalCallback(), recorder, SeedEpoch(config, settings.epochs if unfrozen else 0), replicas]
    if (precision := choose_precision(settings.precision, device)) == torch.bfloat16:
        callbacks.append(BFloat16Blocks())
    elif precision == torch.float16:
        callbacks.append(Float16Blocks(device))
    loaders = build_dataloaders(config, dataset, device, maps)
    if device.type == "cuda":
        loaders = keep_on_device(loaders)
    _, labels = dataset.arrays("train")
    weights = _class_weights(labels, settings)
    learner = EventLearner(
        loaders,
        model,
        loss_func=SubclassCrossEntropy(model.output_classes, weights, settings.label_smoothing).to(device),
        opt_func=partial(adamw, weight_decay=settings.weight_decay),
        splitter=split_by_stage if unfrozen else trainable_params,
        lr=settings.lr,
        default_cbs=False,
        cbs=[*callbacks, *cbs],
    )
    learner.create_opt()
    return learner


def unfreeze(model: BearCNN, stages: int) -> None:
    """Let the last stages of a network's body learn, on the device where it will be trained.

    Raises:
        ConfigError: the body doesn't have that many stages.
    """
    assert model.body is not None, "the configuration was checked"
    lay_out(model, choose_device())
    model.body.unfreeze(stages)


def split_by_stage(model: BearCNN) -> list[list[nn.Parameter]]:
    """List the weights of each unfrozen stage of the body, the earliest first, and last those of blocks and head."""
    assert model.body is not None
    rest = [weight for name, weight in model.named_parameters() if not name.startswith("body.")]
    return [*model.body.stage_parameters(model.body.unfrozen), rest]


def stage_rates(lr: float, stages: int) -> list[float]:
    """Return the learning rate of each group of `adamw` after `split_by_stage`: each part has a third of the next.

    The earlier a layer, the more its features serve all photos (discriminative fine-tuning; Howard & Ruder 2018).
    """
    rates = [lr / 3 ** (stages - part) for part in range(stages + 1)]
    return [rate for rate in rates for _ in ("decayed", "others")]


def _check_map(config: Config, side: int) -> None:
    """Check that a body's map is large enough for the blocks; the configuration can't know for every body."""
    model = config.model
    try:
        map_sizes(config.data.image_size, model.strides, model.pool_size, start=side)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def build_network(config: Config, dataset: Dataset) -> BearCNN:
    """Build the configured network, with fresh weights from its seed and the outputs for these photos."""
    torch.manual_seed(config.train.seed)
    output_classes = [label for label, _ in dataset.subclasses()[0]] if config.train.subclasses else [0, 1]
    return build_model(config.model, output_classes)


def choose_device() -> torch.device:
    """Choose the GPU that torch finds, or else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def lay_out(model: BearCNN, device: torch.device) -> BearCNN:
    """Move a network to its device, in the channels-last layout."""
    # Convolutions are faster if a pixel's channels lie side by side (219 images/s instead of 163 at 128 px).
    model = model.to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
    return model


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Choose the number format of the blocks in training; where the device has bfloat16, that is the fastest.

    A processor that has it trains 1.7 to 2.5 times as fast, one without it slower. GPUs without bfloat16 but with
    float16 in tensor cores (NVIDIA's of 2017 to 2019, compute capability 7.0 and 7.5) get float16.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16 if torch.cuda.get_device_capability(device) >= (7, 0) else torch.float32
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16") else torch.float32


def describe_device(precision: Precision) -> tuple[str, str]:
    """Return the name of the device that trains, and that of the number format of the blocks on it."""
    device = choose_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return name, str(choose_precision(precision, device)).removeprefix("torch.")


def adamw(
    parameters: Iterable[nn.Parameter] | Iterable[list[nn.Parameter]], lr: float, *, weight_decay: float
) -> OptimWrapper:
    """Build a fused AdamW: one pass over all weights per step. Norms and biases have no weight decay.

    For each list of weights it has two groups, with weight decay and without, that share a learning rate.
    """
    given = list(parameters)
    parts = [part for part in given if isinstance(part, list)] or [given]
    groups: list[dict[str, Any]] = []
    for part in parts:
        decayed = [parameter for parameter in part if parameter.ndim > 1]
        others = [parameter for parameter in part if parameter.ndim <= 1]
        groups += [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return OptimWrapper(opt=torch.optim.AdamW(groups, lr=lr, fused=True))


def _class_weights(labels: NDArray[np.int64], settings: TrainConfig) -> torch.Tensor:
    """Compute the weight of each class in the loss: (2,), 1 on average over the photos."""
    if settings.balance != "weights":
        return torch.ones(2)
    counts = np.bincount(labels, minlength=2)
    return torch.tensor(len(labels) / (2 * counts), dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class LearningRates:
    """A learning-rate range test (Smith 2017): the loss while the rate grows, and the suggested rate."""

    lrs: list[float]
    losses: list[float]  # smoothed
    suggestion: float


class _RangeTest(LRFinder):
    """fastai's LRFinder without its pickle of the model's first weights: the model is thrown away."""

    def before_fit(self) -> None:
        super(LRFinder, self).before_fit()
        self.best_loss = float("inf")

    def after_fit(self) -> None:
        self.learn.opt.zero_grad()


def find_lr(
    config: Config, dataset: Dataset, on_progress: Callable[[int, int], None] = lambda *_: None, steps: int = 100
) -> LearningRates:
    """Train a fresh network for some steps at ever higher rates until the loss explodes; nothing is kept.

    The suggestion is fastai's "valley": a rate within the longest stretch of falling loss.
    """
    counting = CountBatches(lambda *_: on_progress(min(learner.train_iter, steps), steps))
    learner = build_learner(config, dataset, cbs=[counting])
    learner.seed_epoch.config = config.model_copy(update={"train": config.train.model_copy(update={"sizes": ()})})
    with learner.no_logging():
        learner.fit(steps, cbs=_RangeTest(1e-6, 3.0, steps))  # more epochs than needed; the finder ends the fit
    lrs, losses = [float(lr) for lr in learner.recorder.lrs], [float(loss) for loss in learner.recorder.losses]
    suggestion, _ = valley(lrs, losses, len(lrs))
    return LearningRates(lrs, losses, float(f"{suggestion:.2g}"))
