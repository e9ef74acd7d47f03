import json

import pytest

pytestmark = pytest.mark.slow


def test_report_writes_a_page_of_one_run_or_compares_several(work, tmp_path, command):
    said = command("report", cwd=work).stdout
    assert "report.html" in said
    content = json.loads(command("report", "run", "run", "--out", tmp_path / "c.html", "--json", cwd=work).stdout)
    assert content["bytes"] == (tmp_path / "c.html").stat().st_size
    again = command("report", "run", "run", "--out", tmp_path / "c.html", cwd=work, code=1)
    assert "exists already" in again.stderr
