"""Tables of separated values as people's programs write them: the separator is found, rows keep their line numbers."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bearcnn.data.sources.cells import clean, quote
from bearcnn.data.sources.gathering import Problem
from bearcnn.errors import DataError
from bearcnn.registry import nearest_hint

SEPARATORS = (",", ";", "\t", "|")
_STRAY_BYTES = re.compile("[\ud800-\udfff]")
_EXCEL_HINT = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)  # Excel's own first line


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns, and its rows as they are read."""

    file: Path
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, list[str] | Problem]]  # number of the first line, from 1, and the cells

    def require(self, names: Sequence[str], instead: str = "") -> None:
        """Check that the table has all these columns.

        Args:
            names: those of the columns.
            instead: what a user can do about missing ones, for the message.

        Raises:
            DataError: it lacks some of them, which are all named, each with the nearest that there is.
        """
        missing = [name for name in names if not self.has(name)]
        if missing:
            listed = ", ".join(map(clean, self.columns))
            hints = "".join(dict.fromkeys(nearest_hint(name, self.columns) for name in missing))
            columns = f"column{'s' if len(missing) > 1 else ''} {' and '.join(map(quote, missing))}"
            raise DataError(f"{self.file} has no {columns} (it has {listed}){hints}{instead}")

    def find(self, name: str) -> int:
        """Return the place of a column that the table has, in upper or lower case.

        Raises:
            DataError: there are two of that name.
        """
        exact = [place for place, column in enumerate(self.columns) if column == name]
        found = exact or [place for place, column in enumerate(self.columns) if column.casefold() == name.casefold()]
        if len(found) > 1:
            raise DataError(f"{self.file} has {len(found)} columns called {quote(name)}: rename all but one")
        return found[0]

    def has(self, name: str) -> bool:
        """Check whether there is a column of that name, in upper or lower case."""
        return name.casefold() in (column.casefold() for column in self.columns)


def read_table(file: Path, expected: Collection[str]) -> Table:
    """Read a table with one line of column names, in UTF-8 (with or without byte order mark) or UTF-16.

    The separator is that of `SEPARATORS` with which most of the `expected` columns, then most columns are found. Cells
    with a separator, a line break or a quote are in double quotes (RFC 4180). Empty lines don't count. A row with too
    many or too few cells, or with a quote out of place, is a `Problem`. Bytes that aren't UTF-8 stay as surrogates.

    Raises:
        DataError: the file can't be read or is empty.
    """
    text = _decode(file)
    skipped = 0
    separators: tuple[str, ...] = SEPARATORS
    if hint := _EXCEL_HINT.match(text):
        text, skipped, separators = text[hint.end() :], 1, (hint[1],)
    wanted = {name.casefold() for name in expected}

    def count(separator: str) -> tuple[int, int]:
        columns = _read_names(text, separator)
        return len(wanted.intersection(map(str.casefold, columns))), len(columns)

    separator = max(separators, key=count)
    columns = _read_names(text, separator)
    if not columns:
        raise DataError(f"{file} is empty: expected a line of column names, and a row for each photo")
    return Table(file, columns, _read_rows(text, separator, len(columns), skipped))


def read_json(file: Path) -> Any:
    """Read a JSON document in UTF-8.

    Raises:
        DataError: the file can't be read or isn't JSON.
    """
    try:
        return json.loads(_read_bytes(file).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{file} isn't JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{file} isn't whole JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{file} is nested too deeply for JSON with photos") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{file} has JSON that can't be read: {str(error).partition(';')[0]}") from None


def has_stray_bytes(text: str) -> bool:
    """Check whether text has bytes that weren't UTF-8."""
    return _STRAY_BYTES.search(text) is not None


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {file}: check the path") from None
    except OSError as error:
        raise DataError(f"{file} can't be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:  # a zero byte or a lone surrogate, from a package's descriptor
        raise DataError(f"there is no file {quote(str(file))}, and none can have that name") from None


def _decode(file: Path) -> str:
    data = _read_bytes(file)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def _read_names(text: str, separator: str) -> tuple[str, ...]:
    """Return the column names; none where this separator makes no row of them."""
    try:
        for cells in _reader(text, separator):
            if any(map(str.strip, cells)):
                return tuple(" ".join(cell.split()) for cell in cells)
    except csv.Error:
        pass
    return ()


def _read_rows(text: str, separator: str, columns: int, skipped: int) -> Iterator[tuple[int, list[str] | Problem]]:
    reader = _reader(text, separator)
    header = True
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Problem(_explain(error))
            continue
        if not any(map(str.strip, cells)):
            continue
        if header:
            header = False
        elif len(cells) != columns:
            count = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
            yield line, Problem(f"{count} for {columns} columns (a cell with {quote(separator)} in it needs quotes)")
        else:
            yield line, cells


def _reader(text: str, separator: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def _explain(error: csv.Error) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return 'a double quote (") that begins here has no end'
    if "expected after" in message:
        return 'a double quote (") inside a quoted cell: it must be written twice'
    if "field limit" in message:
        return f"a cell of more than {csv.field_size_limit():,} characters (a double quote without an end?)"
    return message
