"""The benchmarks run: each by its options, the shared parts as they are, one from end to end; the others on request."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bearcnn.data.dataset import Dataset
from bearcnn.data.photos import load_pixels
from tests.helpers.commands import explain_scripts

pytestmark = pytest.mark.slow  # trains, or starts processes

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
COMMANDS = sorted(
    file.stem for file in BENCHMARKS.glob("*.py") if 'if __name__ == "__main__"' in file.read_text(encoding="utf-8")
)
slow = pytest.mark.skipif(not os.environ.get("BEARCNN_BENCHMARKS"), reason="BEARCNN_BENCHMARKS is not set: slow")


@pytest.fixture(autouse=True)
def _benchmarks_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_benchmark_is_known() -> None:
    assert set(COMMANDS) == {
        "busy",
        "busy_training",
        "cluster_predict",
        "cold_predict",
        "distributed",
        "edge",
        "folder_predict",
        "gpu",
        "html_model",
        "import_time",
        "memory",
        "predict_memory",
        "presets",
        "pretrained",
        "recipe",
        "sweep_speed",
        "time_to_quality",
        "training_speed",
        "versions",
        "window_hits",
    }


def test_each_benchmark_explains_itself() -> None:
    said = explain_scripts(BENCHMARKS, COMMANDS)
    for name in COMMANDS:
        assert ("--rounds" if name != "window_hits" else "--data") in said[name]  # only times need rounds


def test_sides_are_measured_in_turn() -> None:
    from measure import Sample, alternate

    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return Sample(len(order))

    samples = alternate({"a": lambda: side("a"), "b": lambda: side("b")}, rounds=3)
    assert order == ["a", "b"] * 4  # the first of each warms up and doesn't count
    assert [sample.seconds for sample in samples["b"]] == [4, 6, 8]


def test_sides_are_measured_beside_each_load_in_turn() -> None:
    from load import alternate_beside
    from measure import Sample

    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return Sample(len(order))

    found = alternate_beside({"a": lambda: side("a"), "b": lambda: side("b")}, rounds=2, loads=(0, 1))
    assert order == ["a", "b"] * 5
    assert {load: [sample.seconds for sample in samples["a"]] for load, samples in found.items()} == {
        0: [3, 7],
        1: [5, 9],
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="processes are looked up in /proc")
def test_busy_processes_end_with_the_benchmark_whatever_ends_it(number: signal.Signals) -> None:
    code = "import time; from load import busy\nwith busy(2):\n    print('busy', flush=True)\n    time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"busy\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        if number == signal.SIGINT:  # as the terminal sends it
            os.killpg(process.pid, number)
        else:
            process.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a busy process outlives its benchmark"
        time.sleep(0.05)


def test_ratios_are_of_pairs_and_have_a_spread() -> None:
    from measure import ratios, share

    assert ratios([2, 30, 8], [1, 10, 2]) == "3.0 x (2.0 to 4.0)"
    assert share([1, 9, 4], [2, 10, 5]) == "80% (50% to 90%)"


def test_a_process_that_fails_says_why() -> None:
    from measure import time_script, watch_process

    with pytest.raises(RuntimeError, match="no such luck"):
        time_script("raise SystemExit('no such luck')")
    with pytest.raises(RuntimeError, match="no such luck"):
        watch_process([sys.executable, "-c", "raise SystemExit('no such luck')"], lambda process: None)


def test_a_process_is_looked_at_until_it_ends() -> None:
    from measure import watch_process

    seen: list[int] = []
    seconds = watch_process([sys.executable, "-c", "import time; time.sleep(0.3)"], seen.append)
    assert seconds > 0.3
    assert len(seen) >= 2 and len(set(seen)) == 1


def test_a_script_reports_what_it_measured_and_its_memory() -> None:
    from measure import in_own_process, time_script

    # In a process of its own, as in the benchmarks: this one's memory would count as its children's.
    small = in_own_process(time_script, "import json, sys; print('noise'); print(json.dumps(sys.argv[1:]))", 1, "b")
    large = in_own_process(time_script, "import json; held = b'1' * 200_000_000; print(json.dumps(1))")
    assert small.values == ["1", "b"]
    assert large.peak_mb > small.peak_mb + 100


def test_time_until_an_auc() -> None:
    from time_to_quality import first_reached

    reached = [[10.0, 0.5], [20.0, 0.9], [30.0, 0.8]]
    assert first_reached(reached, 0.7) == 20
    assert first_reached(reached, 0.95) is None


def test_complete_commands_are_compared_and_only_where_the_model_is_as_good() -> None:
    from measure import Sample
    from time_to_quality import compare

    theirs = [Sample(100, values={"reached": [[40, 0.95], [98, 0.9]]})]
    good = Sample(50, values={"reached": [[10, 0.92], [30, 0.93]], "roc_auc": 0.93})
    worse = Sample(20, values={"reached": [[5, 0.91], [10, 0.89]], "roc_auc": 0.89})
    first, *lines = compare(theirs, [good, worse])
    assert "0.9000 after 100 s; reached by the models of 1 of 2" in first
    assert "in 50 s (50 to 50), start-up, export and scores included" in lines[0]
    assert "2.0 x (2.0 to 2.0)" in lines[1]
    assert "after 8 s (5 to 10), in 2 of 2" in lines[2]
    assert len(compare(theirs, [replace(worse, values={"reached": [[5, 0.8]], "roc_auc": 0.8})])) == 1


def test_a_preset_s_score_is_that_of_its_test_photos_or_else_of_the_validation_photos() -> None:
    from measure import Sample
    from presets import describe, read_scores

    def scored(auc: float, photos: int) -> dict:
        estimate = {"value": auc, "low": auc - 0.1, "high": auc + 0.1}
        estimates = dict.fromkeys(("roc_auc", "average_precision", "accuracy"), estimate)
        return {"n": photos, "positives": 9, "estimates": estimates}

    layers = [{"parameters": 1000}, {"parameters": 234}]
    metrics = {
        "epochs": 3,
        "monitor": "last",
        "layers": layers,
        "evaluations": {"valid": scored(0.8, 20), "test": scored(0.7, 30)},
    }
    assert (read_scores(metrics)["roc_auc"], read_scores(metrics)["photos"]) == (0.7, 30)
    del metrics["evaluations"]["test"]
    assert (read_scores(metrics)["roc_auc"], read_scores(metrics)["split"]) == (0.8, "valid")
    rated = {"false_alarms": 0.25, "milliseconds": 4.0}
    samples = [
        Sample(10 * seed, processor_seconds=5, values={**read_scores(metrics), "roc_auc": 0.8 + seed / 100, **rated})
        for seed in (1, 2, 3)
    ]
    lines = describe(samples)
    assert lines[0] == "scored on 20 valid photos (9 bears), none of which chose the epoch"
    assert "ROC AUC 0.8200, 95% interval over seeds 0.7952 to 0.8448" in lines[1]
    assert lines[2] == "  by seed 0.8100, 0.8200, 0.8300"
    assert lines[3] == "false alarms at 98% recall 25.0 % (25.0 to 25.0)"
    assert lines[-2] == "3 epochs: 20 s (10 to 30) for the whole command, 5 s (5 to 5) of the processor"
    assert lines[-1] == "1,234 weights; 4.0 ms (4.0 to 4.0) a photo, one thread"


STAND_IN_FOR_YOLO = """#!{python}
import json, os, sys
from pathlib import Path

assert os.environ["YOLO_OFFLINE"] == "True" and os.environ["YOLO_CONFIG_DIR"]
given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
if sys.argv[1] == "settings":
    assert given == {{"sync": "False"}}
elif sys.argv[1:3] == ["classify", "train"]:
    assert given["model"].endswith(".yaml") and given["pretrained"] == "False", "random weights"
    weights = Path(given["project"], given["name"], "weights")
    weights.mkdir(parents=True)
    (weights / "best.pt").write_text(json.dumps(given))
else:  # as python -c SCRIPT best.pt FOLDER SIZE
    _, _, _, weights, _, size = sys.argv
    assert json.loads(Path(weights).read_text())["imgsz"] == size
    answers = [[0, 0.1], [0, 0.7], [1, 0.9], [1, 0.5]]
    print("noise\\n" + json.dumps({{"answers": answers, "version": "8.0"}}))
"""


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with a shebang")
def test_yolo_starts_from_random_weights_offline_and_is_scored_by_our_auc(tmp_path: Path) -> None:
    from yolo import train_yolo

    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("yolo", "python"):
        (commands / name).write_text(STAND_IN_FOR_YOLO.format(python=sys.executable))
        (commands / name).chmod(0o755)
    sample = train_yolo(commands / "yolo", tmp_path / "photos", "workers=0", epochs=2, size=64, seed=1)
    assert sample.values == {"roc_auc": 0.75, "version": "8.0"}
    assert sample.seconds > 0
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}, "nothing is left"


def test_copies_are_other_files_with_the_same_pixels(photos: Path, tmp_path: Path) -> None:
    from pictures import class_folders, multiply

    originals = sorted(photos.rglob("*.jpg"))[:3]
    files = multiply(originals, 7, tmp_path / "many")
    assert len({file.read_bytes() for file in files}) == 7
    np.testing.assert_array_equal(load_pixels(files[4], 32, "squish"), load_pixels(originals[1], 32, "squish"))
    folder = class_folders(originals, tmp_path / "classes", 20, 10)
    dataset = Dataset.from_folder(folder, image_size=8, resize="squish", cache_root=tmp_path)
    assert (len(dataset.select("train")), len(dataset.select("valid")), dataset.skipped) == (20, 10, ())


def test_drawn_camera_photos_are_as_large_as_a_camera_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pictures

    monkeypatch.setattr(pictures, "DRAWN", 1)
    (photo,) = pictures.camera_photos(tmp_path, None)
    with pictures.Image.open(photo) as image:
        assert image.width * image.height >= 7_900_000
    assert photo.stat().st_size > 1_000_000  # as much to decode as in a photo


@pytest.fixture
def scenes(photos: Path, tmp_path: Path) -> Dataset:
    return Dataset.from_folder(photos, image_size=8, cache_root=tmp_path / "cache")


def test_a_draw_s_smaller_numbers_are_the_beginning_of_its_larger_ones(scenes: Dataset) -> None:
    from draws import few_photos

    def trained_on(count: int | None, draw: int) -> set[Path]:
        return {example.path for example in few_photos(scenes, count, draw).select("train")}

    assert len(trained_on(4, 0)) == 4 and len(trained_on(None, 0)) == len(scenes.select("train"))
    assert trained_on(4, 0) < trained_on(8, 0) < trained_on(16, 0)
    assert trained_on(8, 0) != trained_on(8, 1)
    few = few_photos(scenes, 8, 0)
    assert sum(example.label for example in few.select("train")) == 4
    assert (few.select("valid"), few.select("test")) == (scenes.select("valid"), scenes.select("test"))
    with pytest.raises(SystemExit, match="not that many"):
        few_photos(scenes, 100, 0)


def test_answers_are_rated_with_and_without_a_kind() -> None:
    from draws import of_other_kinds, rate_answers

    kept = of_other_kinds(["", "", "fox", "mixed"], "mixed")
    rated = rate_answers(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.1, 0.7]), kept)
    assert (rated["roc_auc"], rated["roc_auc_without"]) == (0.75, 1.0)
    assert (rated["false_alarms"], rated["false_alarms_without"]) == (0.5, 0.0)
    assert (rated["valid"], rated["valid_without"]) == (4, 3)


def test_times_are_compared_at_the_lower_of_the_two_final_aucs() -> None:
    from pretrained import compare_times

    theirs, ours = [[[50.0, 0.9], [100.0, 0.98]]], [[[5.0, 0.8], [10.0, 0.97], [20.0, 0.99]]]
    (line,) = compare_times("bearcnn", theirs, ours)
    assert "after 20 s" in line and "vision_learner after 100 s" in line and "5.0 x" in line


@pytest.mark.slow  # trains
def test_a_pretrained_head_on_a_few_photos_from_end_to_end(photos: Path, tmp_path: Path) -> None:
    few = ("--part", "few", "--photos", 8, "--rounds", 2, "--set", "data.image_size=64", "--set", "train.epochs=2")
    said = run("pretrained", "--data", photos, *few, "--out", tmp_path)
    assert "2 draws" in said
    samples = json.loads((tmp_path / "pretrained-few.json").read_text())["samples"]["8"]
    assert [sample["values"]["draw"] for sample in samples] == [0, 1]


@slow
@pytest.mark.parametrize("part", ["all", "fastai"])
def test_a_pretrained_start_from_end_to_end(part: str, photos: Path, tmp_path: Path) -> None:
    few = ("--part", part, "--seeds", 1, "--frozen-epochs", 1, "--workers", 0, "--set", "train.epochs=2")
    run("pretrained", "--data", photos, *few, "--set", "data.image_size=64", "--out", tmp_path)
    assert (tmp_path / f"pretrained-{part}.json").is_file()


@slow
def test_training_speed_from_end_to_end(photos: Path, tmp_path: Path) -> None:
    said = run(
        "training_speed",
        "--data",
        photos,
        "--sizes",
        16,
        "--photos",
        32,
        "--batch-size",
        8,
        "--epochs",
        2,
        "--rounds",
        1,
        "--seconds",
        0.1,
        "--workers",
        0,
        "--out",
        tmp_path,
    )
    assert "as fast as plain fastai" in said
    kept = json.loads((tmp_path / "training_speed-small-16.json").read_text())
    assert set(kept["samples"]) == {"plain fastai", "bearcnn", "ceiling"}
    assert len(kept["samples"]["bearcnn"][0]["values"]["images_per_second"]) == 2


def test_a_gpu_is_measured_only_where_there_is_one(photos: Path, tmp_path: Path) -> None:
    few = ("--size", 16, "--photos", 32, "--batch-size", 8, "--epochs", 2, "--rounds", 1, "--seconds", 0.1)
    if torch.cuda.is_available():
        said = run("gpu", "--data", photos, *few, "--workers", 0, "--out", tmp_path)
        assert "as fast as plain fastai" in said and "of the network fed from memory" in said
        return
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), *map(str, few)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "torch finds no CUDA GPU here: nothing was measured\n"


@slow
def test_memory_from_end_to_end(photos: Path, tmp_path: Path) -> None:
    run("memory", "--data", photos, "--photos", 40, "--size", 16, "--out", tmp_path)
    ((sample,),) = json.loads((tmp_path / "memory.json").read_text())["samples"].values()
    assert 50 < sample["values"]["anonymous_mb"] < 5000


@slow
def test_time_to_quality_from_end_to_end(photos: Path, tmp_path: Path) -> None:
    few = ("--plain-epochs", 1, "--epochs", 1, "--seeds", 1, "--workers", 0, "--set", "data.image_size=16")
    said = run("time_to_quality", "--data", photos, *few, "--out", tmp_path)
    assert "of 1 training runs of bearcnn" in said


@slow
def test_folder_prediction_from_end_to_end(photos: Path, tmp_path: Path) -> None:
    few = ("--small", 6, "--large", 4, "--rounds", 1)
    said = run("folder_predict", "--data", photos, "--large-data", photos, *few, "--out", tmp_path)
    assert "of decoding alone" in said


@slow
@pytest.mark.parametrize("body", ["none", "efficientnet_lite0"])
def test_one_photo_from_end_to_end(body: str, tmp_path: Path) -> None:
    said = run("cold_predict", "--rounds", 1, "--body", body, "--out", tmp_path)
    assert (body in said) == (body != "none")


@slow
@pytest.mark.parametrize("name", ["cold_predict", "import_time"])
def test_start_up_from_end_to_end(name: str, tmp_path: Path) -> None:
    run(name, "--rounds", 1, "--out", tmp_path)
    assert (tmp_path / f"{name}.json").is_file()
