"""The last stages of a pretrained body that learn too: two phases, checkpoints of both, and the file that is kept."""

import shutil
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback
from safetensors import safe_open
from safetensors.torch import load_file

import bearcnn
from bearcnn import pipeline
from bearcnn.config import load_config
from bearcnn.data.dataset import Dataset
from bearcnn.errors import ConfigError, RunError
from bearcnn.export.base import describe
from bearcnn.export.run import export_run
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import read_manifest
from bearcnn.model.bodies import PretrainedBody, load_body
from bearcnn.model.load import load_model
from bearcnn.model.network import build_model
from bearcnn.report.page import write_report
from bearcnn.runs import Run, create_run
from bearcnn.sweep.trial import time_trial
from bearcnn.training.checkpoint import best_file, last_file, read_checkpoint
from bearcnn.training.fit import fit
from bearcnn.training.learner import build_learner, build_network, split_by_stage, stage_rates, unfreeze
from tests.helpers.training import Recorder, StopAfter, assert_same_training, fit_small, float_file_of, train_once

SETTINGS = [
    "model.body=efficientnet_lite0",
    "model.widths=[16]",
    "data.image_size=64",
    "train.epochs=2",
    "train.batch_size=8",
    "train.precision=float32",
    "train.unfreeze=2",
    "train.unfreeze_epochs=3",
    "train.lr=1e-4",
    "train.monitor=valid_loss",  # it falls in each epoch: the best one is in the second phase
]


@pytest.fixture(scope="module")
def config(photos):
    return load_config(None, [*SETTINGS, f"data.path={photos}"])


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    return train_once(tmp_path_factory, "unfrozen", config)


def photos_of(size: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.slow  # runs a pretrained body forth and back
class TestBody:
    def test_the_stages_that_learn_are_the_last_ones(self, config):
        body = load_body(config.model)
        assert not any(weight.requires_grad for weight in body.parameters())
        body.unfreeze(2)
        learning = {name for name, weight in body.named_parameters() if weight.requires_grad}
        numbers = {int(name.split(".")[2]) for name in learning}
        assert numbers == set(range(5, 16))  # blocks 5 to 15 make the maps -2 and -1
        assert body.about["fine_tuned"] == "the last 2 of 5 stages"

    @pytest.mark.parametrize("stages", [1, 4, 5])
    def test_an_unfrozen_body_gives_the_same_maps_and_has_the_same_tensors(self, config, stages):
        frozen, body = load_body(config.model), load_body(config.model)
        body.unfreeze(stages)
        torch.testing.assert_close(body(photos_of()), frozen(photos_of()), atol=1e-3, rtol=1e-3)
        assert body.state_dict().keys() == frozen.state_dict().keys()

    def test_norms_keep_their_averages_while_their_weights_learn(self, config):
        network = build_model(config.model)
        network.body.unfreeze(1)
        before = {name: tensor.clone() for name, tensor in network.body.state_dict().items()}
        optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], 1.0)
        network.train()(photos_of()).square().sum().backward()
        optimizer.step()
        changed = {name for name, tensor in network.body.state_dict().items() if not torch.equal(tensor, before[name])}
        assert changed == {name for name, weight in network.body.named_parameters() if weight.requires_grad}
        assert not any("running" in name for name in changed)

    def test_more_stages_than_it_has_are_refused(self, config):
        with pytest.raises(ConfigError, match=r"train\.unfreeze = 6: the stages of efficientnet_lite0 are 5"):
            load_body(config.model).unfreeze(6)

    def test_earlier_stages_learn_at_lower_rates(self, config):
        dataset = Dataset.from_config(config.data)
        network = build_network(config, dataset)
        unfreeze(network, 2)
        learner = build_learner(config, dataset, model=network)
        rates = stage_rates(9e-3, 2)
        assert rates == pytest.approx([1e-3, 1e-3, 3e-3, 3e-3, 9e-3, 9e-3])
        assert len(learner.opt.hypers) == len(rates)
        groups = split_by_stage(network)
        assert sum(map(len, groups)) == sum(weight.requires_grad for weight in network.parameters())
        assert groups[-1][-1] is network.head.bias
        assert next(iter(learner.dls.train))[0].shape == (8, 3, 64, 64)  # pixels, not maps


@pytest.mark.slow
def test_both_phases_are_in_the_history_and_in_the_report(finished):
    run, _, watcher = finished
    assert [(record.epoch, record.unfrozen) for record in run.history()] == [(1, 0), (2, 0), (3, 2), (4, 2), (5, 2)]
    assert any("the last 2 of 5 stages of the body learn as well" in stage for stage in watcher.stages)
    assert run.metrics()["unfrozen_epochs"] == 3
    assert run.history()[run.metrics()["best_epoch"] - 1].unfrozen == 2
    page = run.report_file.read_text(encoding="utf-8")
    assert "In the last 3 epochs the last 2 stages of the pretrained body learned too" in page


@pytest.mark.slow
def test_the_model_file_holds_the_changed_body_and_says_so(finished, config):
    run, dataset, _ = finished
    original, kept = load_body(config.model), load_file(run.weights_file)
    for name, tensor in original.state_dict().items():
        frozen = not name.startswith("layers.2.") or int(name.split(".")[2]) < 5 or "running" in name
        assert torch.equal(kept[f"body.{name}"], tensor) or not frozen, name
    assert not torch.equal(
        kept["body.layers.2.15.layers.0.weight"], original.state_dict()["layers.2.15.layers.0.weight"]
    )
    for file in (run.onnx_file, run.weights_file):
        added = {"trained_on": "ImageNet", "fine_tuned": "the last 2 of 5 stages"}
        assert read_manifest(file).body == original.about | added
    example = dataset.select("valid")[0]
    (answer,) = Predictor(run.onnx_file).predict(example.path)
    best = run.history()[run.metrics()["best_epoch"] - 1]
    value = run.metrics()["evaluations"]["valid"]["estimates"]["roc_auc"]["value"]
    assert value == pytest.approx(best.roc_auc, abs=1e-3)
    assert 0 <= answer.probability <= 1
    trained = load_model(run.weights_file)
    assert trained.network.body.fine_tuned
    assert run.metrics()["layers"][0]["layer"] == "efficientnet_lite0, pretrained, fine-tuned"


@pytest.mark.slow
def test_an_export_holds_the_changed_body(finished, tmp_path):
    run, dataset, _ = finished
    with float_file_of(run):
        report = export_run(run, dataset, "fastai", tmp_path / "model.pkl")  # the others have it from the same file
    assert report.largest_difference < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [2, 4])  # between the two phases, in the second
def test_a_run_stopped_in_either_phase_continues_to_the_same_weights(finished, config, tmp_path, stop_after):
    dataset = finished[1]
    run = fit_small(config, dataset, tmp_path / "run", StopAfter(stop_after))
    state = read_checkpoint(run).state
    assert (state.epochs, state.unfrozen) == (stop_after, 0 if stop_after <= 2 else 2)
    with safe_open(last_file(run), framework="pt") as file:
        assert any("body." in name for name in file.keys()) == (stop_after > 2)  # noqa: SIM118 - it isn't a dict
    rest = Recorder()
    fit(run, dataset, resume=True, reporter=rest)
    assert [record.epoch for record in rest.records] == list(range(stop_after + 1, 6))
    assert_same_training(finished[0], run)


def shipped_body(result, run, config, dataset) -> PretrainedBody:
    """The body of the model file, by the steps of the pipeline before it is written, which takes seconds."""
    body = result.best_network(run, config).body
    manifest = describe(config, dataset, result.state.best_epoch, temperature=1.0, body=body)
    assert manifest.body == body.about | {"trained_on": "ImageNet"}
    return body


@pytest.mark.slow
def test_a_best_epoch_before_the_unfreezing_keeps_the_body_as_it_was(config, finished, tmp_path):
    dataset = finished[1]
    train = config.train.model_copy(update={"lr": 1e-2, "unfreeze_lr": 1e-12, "epochs": 3})
    config = config.model_copy(update={"train": train})
    run = create_run(tmp_path / "run", config)
    result = fit(run, dataset)
    assert result.state.best_epoch <= 3
    assert not any(name.startswith("body.") for name in load_file(best_file(run)))
    original, kept = load_body(config.model), shipped_body(result, run, config, dataset)
    assert kept.about == original.about
    state = kept.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in original.state_dict().items())


@pytest.mark.slow
def test_a_report_says_that_the_unfreezing_gave_no_better_network(finished, tmp_path):
    run = Run(Path(shutil.copytree(finished[0].directory, tmp_path / "run")))
    run.update_metrics({**run.metrics(), "best_epoch": 2})
    write_report(run)
    assert "They gave no better network" in run.report_file.read_text(encoding="utf-8")


class Explode(Callback):
    """Outputs that are no numbers, as soon as the body learns."""

    def after_pred(self):
        if self.model.body.unfrozen:
            self.learn.pred = self.pred * torch.nan


@pytest.mark.slow
def test_a_rate_that_is_far_too_high_names_its_key(config, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"in epoch 3; train again with a lower train\.unfreeze_lr \(it was 0\.0003\)"):
        pipeline.train(config, finished[1], tmp_path / "run", cbs=[Explode()])


@pytest.mark.slow
def test_a_sweep_compares_frozen_and_unfrozen(config, finished, tmp_path):
    frozen = load_config(None, [*SETTINGS[:-4], f"data.path={config.data.path}"])
    analysis = bearcnn.sweep(frozen, finished[1], {"train.unfreeze": [0, 1]}, seeds=1, out=tmp_path / "sweep")
    assert not analysis.failed
    assert len(analysis.settings) == 2


@pytest.mark.slow
def test_the_estimate_of_a_sweep_counts_the_epochs_from_pixels(config, finished):
    train = config.train.model_copy(update={"unfreeze_epochs": 300})
    longer = time_trial(config.model_copy(update={"train": train}), finished[1], 0.3)
    assert longer > 10 * time_trial(config, finished[1], 0.3)


def test_an_unfrozen_network_must_be_better_to_be_kept_unless_told_otherwise():
    body = "model.body=efficientnet_lite0"
    assert load_config(None, [body, "train.unfreeze=1"]).train.monitor == "average_precision"
    assert load_config(None, [body, "train.unfreeze=1", "train.monitor=last"]).train.monitor == "last"


@pytest.mark.slow
def test_without_a_monitor_the_last_epoch_of_both_phases_is_kept(config, finished, tmp_path):
    train = config.train.model_copy(update={"monitor": "last", "unfreeze_epochs": 1})
    config = config.model_copy(update={"train": train})
    run, watcher = create_run(tmp_path / "run", config), Recorder()
    result = fit(run, finished[1], reporter=watcher)
    assert [record.best for record in watcher.records] == [True, True, True]
    assert result.state.best_epoch == 3
    body = shipped_body(result, run, config, finished[1])
    assert body.about["fine_tuned"] == "the last 2 of 5 stages"
