"""Lines of CSV, whatever file names hold."""

import csv
import io
from collections.abc import Iterable


def csv_line(cells: Iterable[str]) -> str:
    r"""Return one line of CSV, ended by `\n`.

    The writer quotes a cell for the sake of a line break only if the break is part of its own end of line; names can
    hold `\r` as well as `\n`.
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"
