import json

import pytest

TINY = ["--set", "data.image_size=16", "--set", "model.widths=[4,8]", "--set", "train.min_steps=4", "--epochs", "1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--photos", "16,many"], "error: --photos 16,many: expected numbers of photos, such as 16,32,64,all"),
        (["--photos", ","], "expected numbers of photos"),
        (["--photos", "0"], "expected numbers of photos"),
        (["--resume", "s", "--out", "t"], "omit --out"),
        (["--resume", "nowhere"], "is not a sweep"),
    ],
)
@pytest.mark.slow  # starts processes
def test_a_mistake_is_one_line(tmp_path, arguments, said, command):
    process = command("learning-curve", *arguments, cwd=tmp_path, code=1)
    assert said in process.stderr
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.slow  # trains
def test_the_answer_comes_first_and_the_curve_is_continued(photos, tmp_path, command):
    first = command(
        "learning-curve", "--data", photos, *TINY, "--photos", "8,all", "--seeds", 2, "--out", "c", cwd=tmp_path
    )
    lines = first.stdout.strip().splitlines()
    answer = " ".join(first.stdout.partition("validation AUC")[0].split())
    assert ". With 36 training photos the AUC is 0." in answer
    assert "There is no number for twice as many" in answer
    assert all(len(line) <= 80 for line in lines)
    assert "at least 4 steps" in " ".join(lines)
    again = command("learning-curve", "--resume", "c", "--photos", "16", "--json", cwd=tmp_path)
    assert [point["photos"] for point in json.loads(again.stdout)["points"]] == [8, 16, 36]
    assert "4 done, 2 to run" in again.stderr
    wrong = command("learning-curve", "--resume", "c", "--photos", "99", cwd=tmp_path, code=1)
    assert wrong.stderr.splitlines()[-1].startswith("error: --photos 99: there are 36 photos to train on")
