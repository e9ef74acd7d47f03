"""Tables of separated values, as people's programs write them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.data.sources.gathering import Problem
from bearcnn.data.sources.tables import SEPARATORS, read_json, read_table
from bearcnn.errors import DataError

EXPECTED = ("filepath", "label")
# Before Python 3.13, csv.writer left a lone return unquoted where lines end otherwise: nobody could read that.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes):
        file = tmp_path / "labels.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def rows(file):
    return list(read_table(file, EXPECTED).rows)


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6),
    st.sampled_from(SEPARATORS),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.permutations(["filepath", "label", "a; note, or\ttwo|"]),
)
def test_what_csv_writer_writes_is_read_back_in_any_dialect(
    tmp_path_factory, table, separator, quoting, ending, encoding, columns
):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=ending)
    writer.writerows([columns, *table])
    file = tmp_path_factory.mktemp("table") / "labels.csv"
    file.write_bytes(text.getvalue().encode(encoding))
    found = read_table(file, EXPECTED)
    assert found.columns == tuple(" ".join(name.split()) for name in columns)
    read = list(found.rows)
    assert [cells for _, cells in read] == [list(row) for row in table if any(cell.strip() for cell in row)]
    lines = text.getvalue().split("\n")
    for line, cells in read:  # each row begins on the line that it is said to be on
        assert isinstance(cells, list)
        beginning = cells[0].split("\n")[0].replace('"', '""')
        assert lines[line - 1].removeprefix('"').startswith(beginning)


def test_rows_keep_their_line_numbers_after_quoted_line_breaks_and_empty_lines(write):
    file = write('filepath,label\n"a\nb.jpg",bear\n\n,\nc.jpg,wolf\r\nd.jpg\n"e""f",x\n"g"h,x\nlast.jpg,y\n"open,\nz')
    assert rows(file) == [
        (2, ["a\nb.jpg", "bear"]),
        (6, ["c.jpg", "wolf"]),
        (7, Problem("1 cell for 2 columns (a cell with ',' in it needs quotes)")),
        (8, ['e"f', "x"]),
        (9, Problem('a double quote (") inside a quoted cell: it must be written twice')),
        (10, ["last.jpg", "y"]),
        (11, Problem('a double quote (") that begins here has no end')),
    ]


def test_excels_own_first_line_names_the_separator_and_counts_as_a_line(write):
    assert rows(write("sep=;\r\nfilepath;label\r\na,b.jpg;bear\r\n")) == [(3, ["a,b.jpg", "bear"])]


def test_the_separator_is_the_one_that_finds_the_columns(write):
    assert rows(write("note, with, commas;filepath;label\nx,,;a.jpg;bear\n")) == [(2, ["x,,", "a.jpg", "bear"])]


def test_columns_are_found_in_any_case_and_the_exact_one_first(write):
    table = read_table(write("Label, FilePath ,label\n"), EXPECTED)
    assert (table.find("label"), table.find("filepath")) == (2, 1)
    with pytest.raises(DataError, match="2 columns called 'LABEL'"):
        table.find("LABEL")


def test_a_missing_column_names_those_that_there_are_and_the_nearest(write):
    table = read_table(write("file,labels,site\n"), EXPECTED)
    with pytest.raises(DataError) as caught:
        table.require(EXPECTED, "; rename them")
    assert str(caught.value).endswith(
        "has no columns 'filepath' and 'label' (it has file, labels, site); did you mean file?; did you mean labels?"
        "; rename them"
    )


def test_bytes_that_are_not_utf8_stay_where_they_are(write):
    assert rows(write(b"filepath,label\nb\xe4r.jpg,bear\n")) == [(2, ["b\udce4r.jpg", "bear"])]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b'"filepath'])
def test_a_file_without_columns_is_said_to_be_empty(write, content):
    with pytest.raises(DataError, match="is empty: expected a line of column names"):
        read_table(write(content), EXPECTED)


def test_a_file_that_cannot_be_read_says_why(tmp_path, write):
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        read_table(tmp_path / "none.csv", EXPECTED)
    with pytest.raises(DataError, match="can't be read: is a directory"):
        read_table(tmp_path, EXPECTED)
    for content, message in (
        (b'{"images": [', "isn't whole JSON: line 1"),
        (b"\xff\xfe\x00", "isn't JSON in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "JSON that can't be read: Exceeds the limit"),
    ):
        with pytest.raises(DataError, match=message):
            read_json(write(content))
    assert read_json(write(b'\xef\xbb\xbf{"a": NaN}')).keys() == {"a"}
