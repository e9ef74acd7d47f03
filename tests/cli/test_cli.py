import csv
import inspect
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import bearcnn
from bearcnn.runs import Run
from tests.helpers.commands import bearcnn_command
from tests.helpers.places import ROOT

HEAVY = {"torch", "torchvision", "fastai", "fastcore", "matplotlib", "pandas", "sklearn", "scipy", "onnx", "onnxscript"}


@pytest.fixture(scope="module")
def work(trained) -> Path:
    """The folder in which runs/latest is the trained run."""
    return trained[0].directory.parent


def some_photos(photos: Path, count: int = 4) -> list[Path]:
    return sorted((photos / "test").rglob("*.jpg"))[:count]


def loaded_by(*arguments: object, cwd: Path) -> set[str]:
    code = (
        "import sys; from bearcnn.cli.app import main; sys.argv[1:] = sys.argv[1:]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(process.stdout.rpartition("LOADED")[2].split())


class TestLight:
    """What people wait for never loads what they don't need."""

    @pytest.mark.parametrize(
        "command", [["--help"], ["train", "--help"], ["sweep", "--help"], ["config", "show"], ["data", "cache"]]
    )
    def test_help_and_configuration_load_nothing_heavy(self, command, tmp_path):
        loaded = loaded_by(*command, cwd=tmp_path)
        assert "typer" in loaded
        assert not loaded & (HEAVY | {"onnxruntime"})

    def test_predict_and_evaluate_load_onnxruntime_and_nothing_heavy(self, work, photos, tmp_path):
        drawing = ["predict", some_photos(photos)[0], "--heatmaps", tmp_path / "drawn"]
        for command in (["predict", some_photos(photos)[0]], drawing, ["evaluate"], ["report"]):
            loaded = loaded_by(*command, cwd=work)
            assert "onnxruntime" in loaded
            assert not loaded & HEAVY


class TestHelp:
    """A newcomer finds the way."""

    @pytest.mark.parametrize(
        "command",
        [
            [], ["train"], ["predict"], ["evaluate"], ["report"], ["export"], ["explain"], ["sweep-dropout"], ["sweep"],
            ["data"], ["data", "synth"], ["data", "fetch"],
            ["data", "cache"], ["config"], ["config", "show"], ["config", "check"],
        ],
    )  # fmt: skip
    def test_every_command_explains_itself(self, command):
        text = bearcnn_command(*command, "--help").stdout
        assert "Usage:" in text
        assert len(text.splitlines()) > 8
        assert all(len(line) <= 80 for line in text.splitlines())

    @pytest.mark.parametrize(
        "command",
        [
            ["train"],
            ["predict"],
            ["evaluate"],
            ["report"],
            ["export"],
            ["explain"],
            ["sweep-dropout"],
            ["sweep"],
            ["data", "synth"],
        ],
    )
    def test_the_main_commands_show_examples(self, command):
        assert f"bearcnn {' '.join(command)}" in bearcnn_command(*command, "--help").stdout.partition("Examples:")[2]

    def test_version_is_the_packages(self):
        assert bearcnn_command("--version").stdout == f"bearcnn {bearcnn.__version__}\n"


class TestErrors:
    """One line that says what, where and how to fix it; exit code 1; nothing written."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["train", "--data", "nowhere"], "there is no folder"),
            (["train", "--set", "model.poling=max"], "did you mean model.pooling?"),
            (["train", "--kernel-size", "4"], "not odd"),
            (["train", "--dropout", "1"], "nothing would be left"),
            (["train", "--epochs", "many"], "train.epochs"),
            (["train", "--config", "gone.toml"], "can't read"),
            (["train", "--resume", "gone"], "does not exist"),
            (["train", "--resume", "gone", "--epochs", "3"], "leave out the other options"),
            (["predict", "x.jpg"], "no finished run here"),
            (["predict", "x.jpg", "--model", "gone.onnx"], "does not exist"),
            (["evaluate"], "no finished run here"),
            (["evaluate", "--target-recall", "98"], "such as 0.98"),
            (["evaluate", "--save-threshold"], "needs a threshold"),
            (["evaluate", "--max-false-alarms-per-day", "3"], "--photos-per-day"),
            (["evaluate", "--threshold", "1", "--target-recall", "1"], "give one of"),
            (["report"], "no finished run here"),
            (["report", "gone"], "does not exist"),
            (["evaluate", "--at-least", "beauty=1"], "expected SCORE=VALUE"),
            (["export", "gone"], "does not exist"),
            (["explain", "x.jpg"], "no finished run here"),
            (["explain", "x.jpg", "--model", "gone"], "does not exist"),
            (["explain", "x.jpg", "--out", "file"], "nothing is ever overwritten"),
            (["config", "check", "gone.toml"], "can't read"),
            (["data", "synth", ".", "--bear-scale", "big"], "expected a number or a range"),
        ],
    )
    def test_bad_input_is_one_line_and_exit_code_1(self, arguments, said, tmp_path):
        (tmp_path / "file").write_text("so that the folder is not empty")
        process = bearcnn_command(*arguments, cwd=tmp_path, code=1)
        assert process.stdout == ""
        assert process.stderr.startswith("error: ")
        assert said in process.stderr
        assert len(process.stderr.strip().splitlines()) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_an_existing_out_folder_is_refused_before_anything_is_decoded(self, photos, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("precious")
        process = bearcnn_command("train", "--data", photos, "--out", "mine", cwd=tmp_path, code=1)
        assert "nothing is ever overwritten" in process.stderr
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


class TestTrain:
    """The main job, from the shell."""

    def test_a_training_from_the_shell_shows_the_network_the_epochs_and_what_to_do_next(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--data", photos, "--image-size", 32, "--epochs", 2, "--batch-size", 8, "--pooling", "max",
            "--kernel-size", "5,3", "--set", "model.widths=[8, 16]", cwd=tmp_path,
        )  # fmt: skip
        assert "convolution 5 x 5, stride 2" in process.stderr
        assert "max of the whole map" in process.stderr
        epochs = [line for line in process.stderr.splitlines() if re.match(r" +\d+  \d", line)]
        assert len(epochs) == 2
        assert all(len(line) <= 80 for line in process.stderr.splitlines())
        assert "bearcnn predict" in process.stdout
        run = Run(tmp_path / "runs" / "latest")
        assert run.onnx_file.is_file()
        assert run.config().model.kernel_size == (5, 3)
        assert run.config().data.path == str(photos)

    def test_json_gives_one_document_on_stdout(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--data", photos, "--json", "--out", "r", "--image-size", 32, "--epochs", 1,
            "--set", "model.widths=[8]", "--batch-size", 8, cwd=tmp_path,
        )  # fmt: skip
        content = json.loads(process.stdout)
        assert content["run"] == "r"
        assert set(content["evaluations"]) == {"valid", "test"}

    def test_ctrl_c_leaves_a_model_and_says_how_to_go_on(self, photos, tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-m", "bearcnn", "train", "--data", str(photos), "--out", "r", "--image-size", "32",
             "--epochs", "5000", "--set", "model.widths=[8]", "--batch-size", "8"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not (tmp_path / "r" / "history.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=120)
        assert process.returncode == 130, notes
        assert "bearcnn train --resume r" in notes
        assert "Traceback" not in notes
        bearcnn_command("predict", some_photos(photos)[0], "--model", "r", cwd=tmp_path)

    def test_lr_find_suggests_a_rate_and_draws_why(self, photos, tmp_path):
        process = bearcnn_command(
            "train", "--lr-find", "--json", "--data", photos, "--image-size", 32, "--set", "model.widths=[8, 16]",
            "--batch-size", 8, cwd=tmp_path,
        )  # fmt: skip
        found = json.loads(process.stdout)
        assert 1e-6 < found["suggestion"] < 3
        with Image.open(tmp_path / found["plot"]) as plot:
            assert plot.size[0] > 400


class TestExplain:
    """What the network sees, as pictures."""

    def test_one_picture_and_each_part_alone(self, work, photos, tmp_path):
        photo, run = some_photos(photos)[0], work / "runs" / "latest"
        process = bearcnn_command("explain", photo, "--model", run, cwd=tmp_path)
        assert process.stdout == f"drew explain-{photo.stem}.png\n"
        shown = json.loads(
            bearcnn_command("explain", photo, "--model", run, "--what", "windows", "--json", cwd=tmp_path).stdout
        )
        assert shown == {"picture": f"explain-{photo.stem}-windows.png", "what": "windows"}
        with (
            Image.open(tmp_path / f"explain-{photo.stem}.png") as whole,
            Image.open(tmp_path / shown["picture"]) as part,
        ):
            assert whole.width == part.width
            assert whole.height > 3 * part.height

    def test_a_picture_is_never_overwritten(self, work, photos, tmp_path):
        (tmp_path / "mine.png").write_text("precious")
        process = bearcnn_command("explain", some_photos(photos)[0], "--out", tmp_path / "mine.png", cwd=work, code=1)
        assert "nothing is ever overwritten" in process.stderr
        assert (tmp_path / "mine.png").read_text() == "precious"

    def test_heat_maps_of_many_photos_change_no_answer(self, work, photos, tmp_path):
        folder = photos / "test"
        plain = bearcnn_command("predict", folder, "--json", cwd=work).stdout
        assert bearcnn_command("predict", folder, "--json", "--heatmaps", tmp_path / "drawn", cwd=work).stdout == plain
        drawn = list((tmp_path / "drawn").rglob("*.jpg"))
        assert len(drawn) == len(json.loads(plain)) > 4

    def test_heat_maps_in_the_folder_of_the_photos_are_not_predicted(self, work, photos, tmp_path):
        photo = some_photos(photos)[0]
        (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
        (tmp_path / "z.jpg").write_bytes(photo.read_bytes())
        run = work / "runs" / "latest"
        rows = json.loads(
            bearcnn_command("predict", ".", "--json", "--model", run, "--heatmaps", "heat", cwd=tmp_path).stdout
        )
        assert [row["path"] for row in rows] == ["a.jpg", "z.jpg"]
        assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == ["a.jpg", "z.jpg"]


class TestPredict:
    """Photos in, answers out."""

    def test_a_table_for_people_csv_json_and_jsonl_for_programs_agree(self, work, photos):
        paths = some_photos(photos)
        rows = json.loads(bearcnn_command("predict", *paths, "--json", cwd=work).stdout)
        assert [row["path"] for row in rows] == [str(path) for path in paths]
        assert all(row["error"] is None and row["label"] in ("bear", "not_bear") for row in rows)
        lines = bearcnn_command("predict", *paths, "--format", "jsonl", cwd=work).stdout.splitlines()
        assert [json.loads(line) for line in lines] == rows
        cells = list(
            csv.DictReader(io.StringIO(bearcnn_command("predict", *paths, "--format", "csv", cwd=work).stdout))
        )
        assert [(cell["path"], cell["label"]) for cell in cells] == [(row["path"], row["label"]) for row in rows]
        assert [float(cell["probability"]) for cell in cells] == pytest.approx(
            [row["probability"] for row in rows], abs=1e-6
        )
        table = bearcnn_command("predict", *paths, cwd=work)
        assert [line.split()[0] for line in table.stdout.splitlines()] == [row["label"] for row in rows]
        assert "4 photos" in table.stderr

    def test_a_bad_photo_is_a_row_with_its_reason_and_exit_code_1(self, work, photos, tmp_path):
        bad = tmp_path / "bad, [really].jpg"
        bad.write_text("no picture")
        good = some_photos(photos)[:2]
        process = bearcnn_command("predict", good[0], bad, good[1], "--format", "csv", cwd=work, code=1)
        rows = list(csv.DictReader(io.StringIO(process.stdout)))
        assert [row["path"] for row in rows] == [str(good[0]), str(bad), str(good[1])]
        assert [bool(row["error"]) for row in rows] == [False, True, False]
        table = bearcnn_command("predict", good[0], bad, cwd=work, code=1).stdout.splitlines()
        assert table[1].startswith("unreadable")
        assert str(bad) in table[1]

    def test_a_list_on_stdin_a_folder_and_a_pattern(self, work, photos):
        everything = sorted((photos / "test").rglob("*.jpg"))
        folder = json.loads(bearcnn_command("predict", photos / "test", "--json", cwd=work).stdout)
        assert sorted(row["path"] for row in folder) == [str(path) for path in everything]
        listed = json.loads(
            bearcnn_command("predict", "-", "--json", cwd=work, stdin="\n".join(map(str, everything)) + "\n").stdout
        )
        assert [row["path"] for row in listed] == [str(path) for path in everything]
        pattern = json.loads(bearcnn_command("predict", photos / "test" / "**" / "*.jpg", "--json", cwd=work).stdout)
        assert sorted(row["path"] for row in pattern) == [str(path) for path in everything]

    def test_one_copied_model_file_is_enough(self, trained, photos, tmp_path):
        (tmp_path / "bear.onnx").write_bytes(trained[0].onnx_file.read_bytes())
        bearcnn_command("predict", some_photos(photos)[0], "--model", "bear.onnx", cwd=tmp_path)

    def test_no_photo_at_all_is_an_empty_list_and_an_error(self, work):
        process = bearcnn_command("predict", "-", "--json", cwd=work, stdin="", code=1)
        assert json.loads(process.stdout) == []
        assert "no photo was given" in process.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_is_one_line(self, work, photos):
        with Path("/dev/full").open("w") as full:
            process = subprocess.run(
                [sys.executable, "-m", "bearcnn", "predict", str(photos / "test")],
                cwd=work, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert process.returncode == 1
        assert "error: can't write the output: the disk is full" in process.stderr
        assert "Traceback" not in process.stderr


class TestOtherCommands:
    """evaluate, export, config, data."""

    def test_evaluate_shows_every_score_with_its_interval(self, work):
        process = bearcnn_command("evaluate", cwd=work)
        for name in ("ROC AUC", "average precision", "Brier score", "recall", "called bear"):
            assert name in process.stdout
        content = json.loads(bearcnn_command("evaluate", "--json", cwd=work).stdout)
        assert content["split"] == "test"
        again = json.loads((work / "run" / "metrics.json").read_text())["evaluations"]["test"]
        assert content["estimates"] == again["estimates"]

    def test_evaluate_judges_other_photos_and_other_splits(self, work, photos):
        valid = json.loads(bearcnn_command("evaluate", "--split", "valid", "--json", cwd=work).stdout)
        assert valid["split"] == "valid"
        other = json.loads(bearcnn_command("evaluate", "--data", photos / "train", "--json", cwd=work).stdout)
        assert other["n"] == len(list((photos / "train").rglob("*.jpg")))
        assert other["split"] == "test"

    def test_evaluate_refuses_a_split_that_is_not_there(self, work, photos):
        process = bearcnn_command("evaluate", "--data", photos / "train", "--split", "valid", cwd=work, code=1)
        assert "has no valid photos" in process.stderr

    def test_evaluate_can_require_a_score(self, work):
        bearcnn_command("evaluate", "--at-least", "accuracy=0.01", cwd=work)
        process = bearcnn_command("evaluate", "--at-least", "accuracy=1.01", cwd=work, code=1)
        assert "less than 1.01" in process.stderr

    def test_a_threshold_is_chosen_on_validation_judged_on_test_and_kept_for_predict(self, work, photos, tmp_path):
        shutil.copytree(work / "run", tmp_path / "run")
        process = bearcnn_command(
            "evaluate", "run", "--target-recall", "0.9", "--prevalence", "0.02", "--photos-per-day", "400",
            "--save-threshold", cwd=tmp_path,
        )  # fmt: skip
        for said in (
            "chosen on 12 validation photos",
            "Of 400 photos per day, if 2% have a bear",
            "alerts per day",
            "by group",
        ):
            assert said in process.stdout
        assert "90% recall is not shown: " in process.stderr
        assert " of 6 test bears found, " in process.stderr
        assert "; 29 test bears, all found, would show it" in process.stderr
        content = json.loads(bearcnn_command("evaluate", "run", "--json", cwd=tmp_path).stdout)
        valid = [
            json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
            if json.loads(line)["split"] == "valid"
        ]  # fmt: skip
        found = [row["probability"] >= content["threshold"] for row in valid if row["label"]]
        assert sum(found) / len(found) >= 0.9
        files = some_photos(photos)
        rows = json.loads(
            bearcnn_command("predict", *files, "--model", tmp_path / "run" / "model.onnx", "--json").stdout
        )
        assert [row["label"] for row in rows] == [
            ("not_bear", "bear")[row["probability"] >= content["threshold"]] for row in rows
        ]
        page = (tmp_path / "run" / "report.html").read_text()
        assert "chosen on 12 validation photos to find at least 90% of" in page

    def test_a_threshold_of_few_false_alarms_on_other_photos(self, work, photos):
        process = bearcnn_command(
            "evaluate", "--data", photos / "train", "--max-false-alarms-per-day", "5", "--photos-per-day", "100",
            "--prevalence", "0", "--json", cwd=work,
        )  # fmt: skip
        choice = json.loads(process.stdout)["choice"]
        assert choice["rule"] == "max_false_alarms_per_day" and choice["reached"] <= 5

    def test_report_writes_a_page_of_one_run_or_compares_several(self, work, tmp_path):
        said = bearcnn_command("report", cwd=work).stdout
        assert "report.html" in said
        content = json.loads(
            bearcnn_command("report", "run", "run", "--out", tmp_path / "c.html", "--json", cwd=work).stdout
        )
        assert content["bytes"] == (tmp_path / "c.html").stat().st_size
        again = bearcnn_command("report", "run", "run", "--out", tmp_path / "c.html", cwd=work, code=1)
        assert "exists already" in again.stderr

    def test_export_writes_where_asked_and_never_over_a_file(self, work, tmp_path):
        process = bearcnn_command("export", "--format", "int8", "--out", tmp_path / "b.onnx", "--json", cwd=work)
        assert json.loads(process.stdout)["format"] == "int8"
        again = bearcnn_command("export", "--out", tmp_path / "b.onnx", cwd=work, code=1)
        assert "exists already" in again.stderr

    def test_export_to_fastai_warns_of_the_pickle(self, work, tmp_path):
        process = bearcnn_command("export", "--format", "fastai", "--out", tmp_path / "b.pkl", cwd=work)
        assert "pickle" in process.stderr

    def test_config_show_is_a_configuration_itself(self, tmp_path):
        shown = bearcnn_command("config", "show", "--set", "train.lr=0.01").stdout
        (tmp_path / "c.toml").write_text(shown)
        bearcnn_command("config", "check", tmp_path / "c.toml")
        assert bearcnn_command("config", "show", tmp_path / "c.toml").stdout == shown
        assert (
            json.loads(bearcnn_command("config", "show", tmp_path / "c.toml", "--json").stdout)["train"]["lr"] == 0.01
        )

    def test_config_check_names_every_problem(self, tmp_path):
        (tmp_path / "c.toml").write_text("[model]\npoling = 'max'\nkernel_size = 2\n")
        process = bearcnn_command("config", "check", tmp_path / "c.toml", code=1)
        assert len(process.stderr.strip().splitlines()) == 2

    def test_the_defaults_of_data_synth_are_the_built_in_sets(self):
        from bearcnn.cli import data
        from bearcnn.data.synthetic import scenes

        given = {name: parameter.default for name, parameter in inspect.signature(data.synth).parameters.items()}
        assert (given["count"], given["size"]) == (scenes.DEFAULT_COUNT, scenes.DEFAULT_SIZE)
        assert given["clutter"] == scenes.DEFAULT_CLUTTER
        assert data._parse_scale(given["bear_scale"]) == scenes.DEFAULT_SCALE

    def test_data_synth_cache_and_clear(self, tmp_path, photos):
        scenes = tmp_path / "scenes"
        bearcnn_command("data", "synth", scenes, "--count", 20, "--size", 32, "--bear-scale", "0.2-0.4", "--json")
        assert len(list(scenes.rglob("*.jpg"))) == 20
        assert (scenes / "scenes.jsonl").is_file()
        environment = {"BEARCNN_CACHE": str(tmp_path / "cache")}
        bearcnn_command(
            "train", "--data", photos, "--image-size", 16, "--epochs", 1, "--set", "model.widths=[4]",
            "--batch-size", 8, "--out", tmp_path / "run", cwd=tmp_path, **environment,
        )  # fmt: skip
        entries = json.loads(bearcnn_command("data", "cache", "--json", **environment).stdout)
        assert [entry["photos"] for entry in entries] == [60]
        bearcnn_command("data", "cache", "--clear", **environment)
        assert json.loads(bearcnn_command("data", "cache", "--json", **environment).stdout) == []


class TestReadme:
    """The README can't fall behind."""

    def commands(self) -> set[tuple[str, ...]]:
        text = (ROOT / "README.md").read_text()
        return {tuple(match.split()) for match in re.findall(r"bearcnn ((?:data |config )?[a-z-]+)", text)}

    def test_every_command_is_in_the_readme_and_every_command_there_exists(self):
        from typer.main import get_command

        from bearcnn.cli.app import app

        known: set[tuple[str, ...]] = set()
        for name, command in get_command(app).commands.items():
            inner = getattr(command, "commands", None)
            known |= {(name, sub) for sub in inner} if inner else {(name,)}
        assert known <= self.commands()
        assert {command for command in self.commands() if command[0] in {name[0] for name in known}} <= known

    def test_the_make_targets_in_the_readme_exist(self):
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = set(re.findall(r"(?:^    |`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
        assert {"demo", "test"} <= named <= targets
