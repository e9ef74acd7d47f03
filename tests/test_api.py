"""The Python API, as the module docstring of bearcnn and the README show it."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import bearcnn
from tests.helpers.places import ROOT
from tests.helpers.training import SMALL, Recorder

pytestmark = pytest.mark.slow  # trains, or starts processes


def loaded(code: str) -> set[str]:
    """The top packages that a fresh interpreter has after some code."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    process = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(process.stdout.split())


def test_importing_bearcnn_loads_nothing_that_python_has_not_loaded():
    import_machinery = {"bearcnn", "typing", "re", "enum", "collections", "functools", "copyreg", "sre_compile"}
    new = loaded("import bearcnn") - loaded("import importlib, typing")
    assert new <= import_machinery


def test_light_names_load_no_torch():
    names = ("load_config", "Config", "Dataset", "Predictor", "evaluate", "Run", "sweep", "learning_curve")
    code = "import bearcnn; " + "; ".join(f"bearcnn.{name}" for name in names)
    assert not {"torch", "fastai", "matplotlib", "pandas"} & loaded(code)


def test_every_name_is_there_typed_and_documented():
    assert set(bearcnn.__all__) <= set(dir(bearcnn))
    for name in bearcnn.__all__:
        value = getattr(bearcnn, name)
        assert callable(value) or name == "__version__", name
        assert inspect.getdoc(value), name
    assert (ROOT / "bearcnn" / "py.typed").is_file()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        bearcnn.fly  # noqa: B018


def test_the_whole_way_in_python(photos, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    config = bearcnn.load_config(None, [*SMALL, f"data.path={photos}", "train.epochs=1"])
    dataset = bearcnn.Dataset.from_folder(photos, image_size=32)
    assert dataset.fingerprint == bearcnn.Dataset.from_config(config.data).fingerprint
    reporter = Recorder()
    run = bearcnn.train(config, dataset, out="runs/x", reporter=reporter)
    assert [record.epoch for record in reporter.records] == [1]
    assert run.metrics()["complete"]
    kept = bearcnn.open_run("runs/x").config()
    assert kept.train.replicas == 1  # what auto was
    assert kept.model_copy(update={"train": config.train}) == config

    report = bearcnn.export(run, "int8", "bear.onnx")
    assert report.file.stat().st_size == report.bytes
    picture = bearcnn.explain(run, dataset.examples[0].path, "windows")
    assert isinstance(picture, Image.Image)
    test = dataset.select("test")
    predictions = bearcnn.Predictor("bear.onnx").predict([example.path for example in test])
    assert [prediction.path for prediction in predictions] == [str(example.path) for example in test]
    assert bearcnn.Predictor("runs/x").predict(str(photos / "test"))[0].label in dataset.classes
    evaluation = bearcnn.evaluate([example.label for example in test], [each.probability for each in predictions])
    assert evaluation.n == len(test)
    analysis = bearcnn.sweep(config, dataset, {"model.dropout": [0, 0.5]}, seeds=2, out="sweep")
    assert len(analysis.settings) == 2
    assert capfd.readouterr() == ("", ""), "silent unless given a reporter"


def test_callbacks_of_the_user_see_the_training(photos, tmp_path, monkeypatch):
    from fastai.callback.core import Callback

    class Steps(Callback):
        count = 0

        def after_batch(self):
            if self.training:
                type(self).count += 1

    monkeypatch.chdir(tmp_path)
    config = bearcnn.load_config(None, [*SMALL, "train.epochs=1"])
    dataset = bearcnn.Dataset.from_folder(photos, image_size=32)
    bearcnn.train(config, dataset, out=tmp_path / "run", cbs=[Steps()])
    assert Steps.count == len(dataset.select("train")) // 8


def test_a_wrong_setting_names_itself_and_no_option():
    with pytest.raises(bearcnn.BearcnnError) as caught:
        bearcnn.load_config(None, ["train.epochs"])
    assert "--set" not in str(caught.value)
    with pytest.raises(bearcnn.BearcnnError, match=r"did you mean train\.epochs"):
        bearcnn.load_config(None, ["train.epoch=3"])


def test_the_readme_shows_calls_that_exist():
    shown = re.findall(r"bearcnn\.([A-Za-z_]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {name for name in shown if name not in ("onnx", "toml")} <= set(bearcnn.__all__)


def test_evaluate_takes_plain_lists():
    evaluation = bearcnn.evaluate([0, 1, 1, 0], np.array([0.1, 0.9, 0.8, 0.4]))
    assert evaluation.estimates["roc_auc"].value == 1
