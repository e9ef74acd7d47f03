import json

import numpy as np
import pytest
from PIL import Image

import bearcnn
from bearcnn.data.dataset import Dataset
from bearcnn.errors import SweepError
from bearcnn.evaluation.metrics import score
from bearcnn.runs import Run
from bearcnn.sweep.folder import SweepFolder, create_sweep, read_predictions
from bearcnn.sweep.learning_curve import MIN_STEPS, check_curve, default_sizes, plan_curve, run_curve, write_curve
from bearcnn.sweep.plan import digest_config, extend_plan, list_points, make_trials, plan_grid
from bearcnn.sweep.trial import run_trial
from tests.helpers.sweeps import RecordingReporter, tiny_config
from tests.helpers.training import train_small


@pytest.fixture(scope="module")
def config(photos):
    return tiny_config(photos, "train.min_steps=6")


@pytest.fixture(scope="module")
def dataset(config):
    return Dataset.from_config(config.data)


@pytest.fixture(scope="module")
def curve(config, dataset, tmp_path_factory):
    """A finished curve of three sizes and two seeds; look at it, don't change it."""
    folder = tmp_path_factory.mktemp("curve") / "c"
    return SweepFolder(folder), bearcnn.learning_curve(config, dataset, [8, 16, 0], seeds=2, out=folder)


class TestPlan:
    @pytest.mark.parametrize(
        ("photos", "sizes"),
        [
            (1929, (16, 32, 64, 128, 256, 512, 1024, 1929)),
            (64, (16, 32, 64)),
            (130, (16, 32, 64, 130)),
            (20, (2, 4, 8, 20)),
            (6, (2, 4, 6)),
            (2, (2,)),
        ],
    )
    def test_sizes_double_up_to_all(self, photos, sizes):
        assert default_sizes(photos) == sizes

    def test_trials_have_a_least_number_of_steps_unless_it_is_set(self, photos, config, dataset):
        assert plan_curve(tiny_config(photos), dataset, None, 1).config.train.min_steps == MIN_STEPS
        assert plan_curve(config, dataset, None, 1).config.train.min_steps == 6

    @pytest.mark.parametrize("size", [1, 37])
    def test_a_size_that_can_not_work_is_refused(self, config, dataset, size):
        with pytest.raises(SweepError, match="36 photos to train on; give numbers from 2 to 36"):
            plan_curve(config, dataset, [8, size], 1)

    def test_a_limit_in_the_configuration_is_all_there_is(self, photos, dataset):
        plan = plan_curve(tiny_config(photos, "data.photos=20"), dataset, [8, 0], 1)
        assert plan.swept[0].values == (8, 20)

    def test_another_sweep_is_no_curve(self, config, tmp_path):
        with pytest.raises(SweepError, match="no learning curve"):
            check_curve(plan_grid(config, {"model.pooling": ["max"]}, 1), tmp_path)

    def test_keys_that_are_off_change_no_digest(self, photos):
        config = tiny_config(photos)
        values = config.model_dump(mode="json")
        del (
            values["train"]["min_steps"],
            values["model"]["body"],
            values["model"]["body_stage"],
        )
        for key in (
            "photos",
            "columns",
            "group",
            "detections",
            "detection_threshold",
            "crop_padding",
            "tiles",
            "max_megapixels",
        ):
            del values["data"][key]
        del values["model"]["norm"]
        for key in ("views", "unfreeze", "unfreeze_epochs", "unfreeze_lr", "folds", "replicas", "schedule"):
            del values["train"][key]
        values["data"]["fit"] = values["data"].pop("resize")
        import hashlib

        before = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()
        assert digest_config(config) == before
        assert digest_config(tiny_config(photos, "data.photos=9")) != before
        assert digest_config(tiny_config(photos, "train.min_steps=9")) != before


@pytest.mark.slow  # trains
class TestCurve:
    def test_each_size_is_the_mean_of_its_runs_on_the_same_validation_photos(self, curve, dataset):
        folder, found = curve
        _, labels = dataset.arrays("valid")
        assert [(point.photos, point.runs) for point in found.points] == [(8, 2), (16, 2), (36, 2)]
        for point in found.points:
            aucs = [
                score(labels, read_predictions(folder, f"photos-{point.photos}_seed-{seed}", "valid", len(labels)))[
                    "roc_auc"
                ]
                for seed in (0, 1)
            ]
            assert point.aucs == pytest.approx(aucs)
            assert point.roc_auc.value == pytest.approx(np.mean(aucs))

    def test_the_files_say_the_same(self, curve):
        folder, found = curve
        content = json.loads((folder.directory / "summary.json").read_text())
        assert [point["roc_auc"]["value"] for point in content["points"]] == [
            point.roc_auc.value for point in found.points
        ]
        assert content["extrapolation"] is None
        assert content["min_steps"] == 6
        with Image.open(folder.directory / "learning_curve.png") as picture:
            assert picture.width > 800
        assert len((folder.directory / "trials.csv").read_text().splitlines()) == 7

    def test_a_trial_trains_on_its_draw_alone_and_for_enough_steps(self, config, dataset, tmp_path):
        trial = make_trials(plan := plan_curve(config, dataset, [8], 1), list_points(plan))[0]
        result = run_trial(trial, dataset, tmp_path / "t")
        assert result.record.status == "done", result.error
        assert len(result.predictions["train"]) == 8
        assert len(result.predictions["valid"]) == len(dataset.select("valid"))
        record = Run(tmp_path / "t").dataset_record()
        splits = [row["split"] for row in record["examples"]]
        assert splits.count("train") == 8
        assert splits.count("unused") == 28

    def test_a_resumed_curve_repeats_nothing_and_grows(self, config, dataset, tmp_path):
        plan = plan_curve(config, dataset, [8], 1)
        folder = create_sweep(tmp_path / "c", plan, dataset)
        run_curve(folder, plan, dataset)
        reporter = RecordingReporter()
        larger = extend_plan(folder.plan(), plan_curve(config, dataset, [8, 16], 2))
        found = run_curve(folder, larger, dataset, reporter=reporter)
        assert reporter.started == ["photos-16_seed-0", "photos-8_seed-1", "photos-16_seed-1"]
        assert [point.runs for point in found.points] == [2, 2]

    def test_a_curve_without_a_finished_trial_is_an_error(self, config, dataset, tmp_path):
        plan = plan_curve(config, dataset, [8], 1)
        folder = create_sweep(tmp_path / "c", plan, dataset)
        with pytest.raises(SweepError, match="not one trial"):
            write_curve(folder, plan, dataset)

    def test_all_photos_give_the_same_network_as_no_limit(self, curve, config, dataset, tmp_path):
        plan = plan_grid(config, {"data.photos": [0]}, 1)
        result = run_trial(make_trials(plan, list_points(plan))[0], dataset, tmp_path / "t")
        same = read_predictions(curve[0], "photos-36_seed-0", "valid", len(dataset.select("valid")))
        assert (result.predictions["valid"] == same).all()


@pytest.mark.slow  # trains
def test_a_run_on_few_photos_says_which_and_is_read_back(photos, tmp_path):
    config = tiny_config(photos, "data.photos=10", "train.min_steps=4")
    run, _, _ = train_small(config, tmp_path / "run")
    splits = [row["split"] for row in run.dataset_record()["examples"]]
    assert splits.count("train") == 10
    assert splits.count("unused") == 26
    again = Dataset.from_record(run.dataset_record(), config.data)
    assert len(again.select("train")) == 10
    assert len(again.select("test")) == splits.count("test")
    assert "unused" not in run.report_file.read_text()
