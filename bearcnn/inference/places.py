"""Clusters, on whose nodes photos can be predicted.

To add one, write a function like `cluster.predict_on_ray` and add a row to `CLUSTERS`: the choices of `--engine`, their
help and the error for an unknown name follow. A module is imported when its cluster is used.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bearcnn.registry import Registry

if TYPE_CHECKING:  # onnxruntime: not for `--help`
    from bearcnn.inference.prediction import Prediction
    from bearcnn.inference.predictor import Predictor


class PredictOnCluster(Protocol):
    """Predicts photos elsewhere; `cluster.predict_on_ray` describes the arguments."""

    def __call__(
        self, predictor: "Predictor", paths: Iterable[Path], *, address: str, on_remark: Callable[[str], None]
    ) -> "Iterator[Prediction]":
        """Yield one prediction for each path, in order."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One kind of cluster."""

    name: str
    help: str
    predict: PredictOnCluster | str  # or its name as "package.module:name"


CLUSTERS: Registry[Cluster] = Registry(
    "engine", [Cluster("ray", "the nodes of a Ray cluster", "bearcnn.inference.cluster:predict_on_ray")]
)
