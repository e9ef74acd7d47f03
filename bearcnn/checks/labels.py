"""Check of the labels by cross-validation: photos whose label a model that never saw them doesn't believe.

Features are the mean of a frozen pretrained body's maps, which training keeps anyway; on them, a logistic regression is
trained on four fifths of the photos and asks the label of each of the others. Confident learning (Northcutt 2021, in
cleanlab) tells from all answers which labels are probably wrong.
"""

from collections.abc import Iterator

import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from bearcnn.checks.base import Finding
from bearcnn.checks.collection import CollectedPhoto, Collection
from bearcnn.data import OnProgress
from bearcnn.errors import DataError
from bearcnn.evaluation.formats import decimal, percent
from bearcnn.evaluation.metrics import score
from bearcnn.model.bodies import load_body
from bearcnn.training.maps import Maps, open_maps

FOLDS = 5
LEAST = 10
"""Photos of a class below which no answer is worth a look."""

WEAK, GOOD = 0.8, 0.98
"""Areas under the ROC curve of the model: below the first its doubts mean nothing, from the second on they mean much.

Of 3,140 pictures of 32 px, which it tells apart with 0.9, it doubts 159, mostly because nobody could see more in them.
"""

REGULARIZATION = 0.01
"""LogisticRegression's C on standardized features.

Of 10 labels swapped at random in 2,458 web photos, five times, 8.6 were among the 15 photos found; of 100, 91 were
among 109. With C = 0.1 it was 9 of 21, and 90 of 122.
"""


def find_suspicious_labels(collection: Collection) -> Iterator[Finding]:
    """Find photos whose label cross-validation doesn't believe, the least believed first.

    Raises:
        DataError: a class has too few photos, or the model can't tell the classes apart.
        MissingPackageError: the body's package isn't installed.
        ModelFileError: the body's weights can't be used.
    """
    dataset = collection.dataset
    assert dataset is not None
    by_path = {photo.path: photo for photo in collection.photos}
    photos = [by_path[example.path] for example in dataset.examples]
    labels = np.array([example.label for example in dataset.examples])
    groups = _keep_together(collection, photos)
    fewest = min(len(set(groups[labels == label])) for label in (0, 1))
    if fewest < LEAST:
        raise DataError(f"a model needs {LEAST} different photos of each class, and there are {fewest}")
    body = load_body(collection.config.model)
    if body is None:
        raise DataError("a model needs a pretrained body, and model.body is none")

    bars: dict[str, OnProgress] = {}

    def on_maps(what: str, done: int, total: int) -> None:
        bars.setdefault(what, collection.track(what))(done, total)

    maps = open_maps(body, dataset, collection.config.data, on_maps)
    rows = np.array([example.row for example in dataset.examples])
    features = np.stack([_pool(maps, row) for row in rows])  # (n, channels)
    probabilities = np.zeros(len(labels))
    models: dict[int, _Linear] = {}
    for train, held_out in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, labels, groups):
        model = _Linear(features[train], labels[train])
        probabilities[held_out] = model.probability(features[held_out])
        models |= dict.fromkeys(held_out.tolist(), model)
    found = find_label_issues(
        labels,
        np.stack([1 - probabilities, probabilities], axis=1),
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    area = score(labels, probabilities)["roc_auc"]
    if area < WEAK:
        raise DataError(f"a model on {body.about['name']} can't tell these classes apart (ROC AUC {decimal(area)})")
    if len(found):
        doubt = "" if area >= GOOD else ": it is often wrong itself, and most of these labels may be right"
        yield Finding(f"The model's ROC AUC is {decimal(area)} on photos that it wasn't trained on{doubt}")
    for place in found.tolist():
        photo, probability = photos[place], float(probabilities[place])
        windows = models[place].probability(np.asarray(maps[rows[place], 0], np.float32))
        name = collection.classes[labels[place]]
        reason = f"labelled {name}; the model says {percent(probability)} {collection.classes[1]}"
        yield Finding(reason, photo, probability=probability, windows=windows.astype(np.float32))


class _Linear:
    """A logistic regression on standardized features, as one weight for each channel of a map."""

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        scaler = StandardScaler().fit(features)
        model = LogisticRegression(C=REGULARIZATION, max_iter=1000).fit(scaler.transform(features), labels)
        self._weights = model.coef_[0] / scaler.scale_
        self._bias = float(model.intercept_[0] - self._weights @ scaler.mean_)

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of the positive class of features (..., channels): of whole photos or of places."""
        return np.asarray(1 / (1 + np.exp(-(features @ self._weights + self._bias))))


def _pool(maps: Maps, row: int) -> NDArray[np.float32]:
    means: NDArray[np.float32] = np.asarray(maps[row], np.float32).mean(axis=(0, 1, 2))
    return means


def _keep_together(collection: Collection, photos: list[CollectedPhoto]) -> NDArray[np.int64]:
    """Return a number for each photo, equal for near copies and for frames of one sequence: they stay in one fold."""
    group = {photo.row: number for number, alike in enumerate(collection.look_alikes) for photo in alike}
    first = {alike[0].digest: alike[0].row for alike in collection.copies}
    keys = [
        photo.sequence or group.get(first.get(photo.digest, photo.row), -1 - first.get(photo.digest, photo.row))
        for photo in photos
    ]
    return np.unique([str(key) for key in keys], return_inverse=True)[1]
