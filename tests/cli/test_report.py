import json

import pytest

from tests.helpers.commands import bearcnn_command

pytestmark = pytest.mark.slow


def test_report_writes_a_page_of_one_run_or_compares_several(work, tmp_path):
    said = bearcnn_command("report", cwd=work).stdout
    assert "report.html" in said
    content = json.loads(
        bearcnn_command("report", "run", "run", "--out", tmp_path / "c.html", "--json", cwd=work).stdout
    )
    assert content["bytes"] == (tmp_path / "c.html").stat().st_size
    again = bearcnn_command("report", "run", "run", "--out", tmp_path / "c.html", cwd=work, code=1)
    assert "exists already" in again.stderr
