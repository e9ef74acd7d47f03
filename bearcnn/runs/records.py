"""Rows of a run's files that training makes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One line of history.jsonl. Scores are of the validation photos; a score without both classes is NaN.

    Without validation photos, as with `train.folds`, the validation loss is NaN, too.
    """

    epoch: int  # 1 for the first
    size: int  # side of the training pictures
    train_loss: float
    valid_loss: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    roc_auc: float
    average_precision: float
    lr: float
    seconds: float  # of training and validation
    images_per_second: float  # training alone
    best: bool  # the best so far by train.monitor
    unfrozen: int = 0  # last stages of a pretrained body that learned too
    busy: float = 0.0  # share of the training time in which other programs had the processor's cores


NO_NORM = "no norm"
"""The end of the description of a convolution that no norm follows."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of the network: a row of metrics.json and of the tables."""

    name: str
    layer: str  # such as "convolution 3 x 3, stride 2"
    output_shape: tuple[int, ...]  # without the batch
    parameters: int
    multiply_adds: int  # for one picture
