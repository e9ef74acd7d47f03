"""Training runs on a few photos drawn from a data set, with a pretrained body whose maps are in the cache already."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bearcnn._torch  # noqa: F401

# isort: split
from bearcnn.config import Config, make_config
from bearcnn.data.dataset import Dataset
from bearcnn.evaluation.metrics import score
from bearcnn.evaluation.thresholds import choose_for_recall
from bearcnn.model.bodies import load_body
from bearcnn.training.maps import open_maps

RECALL = 0.98


@dataclass(frozen=True, slots=True)
class Maps:
    """A cache of its own, for the maps of draws."""

    dataset: Dataset
    config: Config

    def draw(self, count: int | None, draw: int) -> Dataset:
        """Draw training photos as `few_photos`, with their maps in the cache."""
        photos = few_photos(self.dataset, count, draw)
        body = load_body(self.config.model)
        assert body is not None
        open_maps(body, photos, self.config.data)
        return photos


@contextmanager
def maps_for_draws(config: Config) -> Iterator[Maps]:
    """Open the photos of a configuration with a body, and compute the maps of all of them where the cache lacks them.

    Within it, the cache is another one: the maps of each draw are copied into it, and go with it.
    """
    dataset = Dataset.from_config(config.data)
    body = load_body(config.model)
    assert body is not None
    maps = open_maps(body, dataset, config.data)
    assert isinstance(maps, np.memmap)
    entry = Path(str(maps.filename)).parent
    before = os.environ.get("BEARCNN_CACHE")
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(entry, Path(name) / "maps" / entry.name)
        os.environ["BEARCNN_CACHE"] = name
        try:
            yield Maps(dataset, config)
        finally:
            os.environ.pop("BEARCNN_CACHE")
            if before is not None:
                os.environ["BEARCNN_CACHE"] = before


def few_photos(dataset: Dataset, count: int | None, draw: int) -> Dataset:
    """Draw `count` of the training photos, half of each class, and keep all others; None keeps all.

    A draw's smaller numbers are the beginning of its larger ones.
    """
    if count is None:
        return dataset
    train = dataset.select("train")
    shuffled = [train[place] for place in np.random.default_rng(draw).permutation(len(train))]
    kept = {example.row for label in (0, 1) for example in [e for e in shuffled if e.label == label][: count // 2]}
    if len(kept) < count:
        raise SystemExit(f"{count} photos: there are not that many of each class to train on")
    examples = [example for example in dataset.examples if example.split != "train" or example.row in kept]
    return replace(dataset, examples=tuple(examples))


def with_settings(config: Config, settings: dict[str, Any]) -> Config:
    """Change dotted keys of a configuration."""
    values = config.model_dump(mode="json")
    for key, value in settings.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    return make_config(values)


def rate_answers(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], kept: NDArray[np.bool_]
) -> dict[str, Any]:
    """Score one model's answers, on all photos and on those that are `kept`."""
    scores: dict[str, Any] = {"valid": len(labels), "valid_without": int(kept.sum())}
    for mark, chosen in (("", np.ones_like(kept)), ("_without", kept)):
        truth, answers = labels[chosen], probabilities[chosen].astype(np.float64)
        threshold = choose_for_recall(truth, answers, RECALL).threshold
        scores[f"roc_auc{mark}"] = score(truth, answers)["roc_auc"]
        scores[f"false_alarms{mark}"] = score(truth, answers, threshold)["false_positive_rate"]
    return scores


def of_other_kinds(kinds: Sequence[str], without: str) -> NDArray[np.bool_]:
    """Tell which photos are not of the kind `without`."""
    return np.array([kind != without for kind in kinds])
