import subprocess
import sys
from dataclasses import replace

import pytest

from bearcnn.errors import SweepError
from bearcnn.sweep.trial_log import Record, append_record, lock_sweep, read_trial_log


def record(number: int, status="done", **fields) -> Record:
    scores = {key: {"roc_auc": 0.9, "accuracy": 0.8, "log_loss": 0.5} for key in ("train", "valid")}
    whole = Record(f"t{number}", {"model.dropout": 0.1}, number, status, "", "c", "d", 1.0, 2, 1, scores, 1, "h", "now")
    return replace(whole, **fields)


class TestTrialLog:
    """Whole lines, whatever happens."""

    def test_records_come_back_as_they_were_and_the_last_of_a_trial_counts(self, tmp_path):
        file = tmp_path / "trial_log.jsonl"
        assert read_trial_log(file) == {}
        append_record(file, record(1, "failed", reason="too hot"))
        append_record(file, record(2))
        append_record(file, record(1))
        assert read_trial_log(file) == {"t1": record(1), "t2": record(2)}
        assert len(file.read_text().splitlines()) == 3

    @pytest.mark.parametrize("torn", [1, 40, -1])
    def test_a_torn_line_is_dropped_and_the_next_one_is_whole(self, tmp_path, torn):
        file = tmp_path / "trial_log.jsonl"
        append_record(file, record(1))
        whole = file.read_bytes()
        append_record(file, record(2))
        line = file.read_bytes()[len(whole) :]
        file.write_bytes(whole + line[:torn])
        assert read_trial_log(file) == {"t1": record(1)}
        append_record(file, record(3))
        assert read_trial_log(file) == {"t1": record(1), "t3": record(3)}
        assert file.read_bytes().startswith(whole)

    def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(self, tmp_path):
        file = tmp_path / "trial_log.jsonl"
        append_record(file, record(1))
        whole = file.read_bytes()
        for damaged in (b"{}\n" + whole, whole.replace(b"0.9", b"0.7"), whole.replace(b'"t1"', b'"../t1"')):
            file.write_bytes(damaged)
            with pytest.raises(SweepError, match="line 1"):
                read_trial_log(file)

    def test_two_sweeps_in_one_folder_are_refused(self, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from bearcnn.sweep.trial_log import lock_sweep\n"
            "with lock_sweep(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
        )
        holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(SweepError, match="another process"), lock_sweep(tmp_path):
                pass
        finally:
            holder.kill()
            holder.communicate()
        with lock_sweep(tmp_path):  # a killed process holds nothing
            pass
