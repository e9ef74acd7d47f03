import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import bearcnn_command, some_photos

pytestmark = pytest.mark.slow


class TestPredict:
    """Photos in, answers out."""

    def test_a_table_for_people_csv_json_and_jsonl_for_programs_agree(self, work, photos, command):
        paths = some_photos(photos)
        rows = json.loads(command("predict", *paths, "--json", cwd=work).stdout)
        assert [row["path"] for row in rows] == [str(path) for path in paths]
        assert all(row["error"] is None and row["label"] in ("bear", "not_bear") for row in rows)
        lines = command("predict", *paths, "--format", "jsonl", cwd=work).stdout.splitlines()
        assert [json.loads(line) for line in lines] == rows
        cells = list(csv.DictReader(io.StringIO(command("predict", *paths, "--format", "csv", cwd=work).stdout)))
        assert [(cell["path"], cell["label"]) for cell in cells] == [(row["path"], row["label"]) for row in rows]
        assert [float(cell["probability"]) for cell in cells] == pytest.approx(
            [row["probability"] for row in rows], abs=1e-6
        )
        table = command("predict", *paths, cwd=work)
        assert [line.split()[0] for line in table.stdout.splitlines()] == [row["label"] for row in rows]
        assert "4 photos" in table.stderr
        assert re.match(r"model \S+/model\.onnx, threshold 0\.5\n", table.stderr)

    def test_a_bad_photo_is_a_row_with_its_reason_and_exit_code_1(self, work, photos, tmp_path, command):
        bad = tmp_path / "bad, [really].jpg"
        bad.write_text("no picture")
        good = some_photos(photos)[:2]
        process = command("predict", good[0], bad, good[1], "--format", "csv", cwd=work, code=1)
        rows = list(csv.DictReader(io.StringIO(process.stdout)))
        assert [row["path"] for row in rows] == [str(good[0]), str(bad), str(good[1])]
        assert [bool(row["error"]) for row in rows] == [False, True, False]
        table = command("predict", good[0], bad, cwd=work, code=1).stdout.splitlines()
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
                cwd=work,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert process.returncode == 1
        assert "error: can't write the output: the disk is full" in process.stderr
        assert "Traceback" not in process.stderr


class TestHeatmaps:
    """The windows' scores, drawn over each photo."""

    def test_heat_maps_of_many_photos_change_no_answer(self, work, photos, tmp_path, command):
        folder = photos / "test"
        plain = command("predict", folder, "--json", cwd=work).stdout
        assert command("predict", folder, "--json", "--heatmaps", tmp_path / "drawn", cwd=work).stdout == plain
        drawn = list((tmp_path / "drawn").rglob("*.jpg"))
        assert len(drawn) == len(json.loads(plain)) > 4

    def test_heat_maps_in_the_folder_of_the_photos_are_not_predicted(self, work, photos, tmp_path, command):
        photo = some_photos(photos)[0]
        (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
        (tmp_path / "z.jpg").write_bytes(photo.read_bytes())
        run = work / "runs" / "latest"
        rows = json.loads(command("predict", ".", "--json", "--model", run, "--heatmaps", "heat", cwd=tmp_path).stdout)
        assert [row["path"] for row in rows] == ["a.jpg", "z.jpg"]
        assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == ["a.jpg", "index.html", "z.jpg"]
