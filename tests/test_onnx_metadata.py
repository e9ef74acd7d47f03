from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from bearcnn.errors import ModelFileError
from bearcnn.onnx_metadata import read_onnx_metadata
from tests.helpers.onnx_models import brightness_model

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def write(path: Path, metadata: dict[str, str]) -> Path:
    proto = onnx.load_model_from_string(brightness_model())
    helper.set_model_props(proto, metadata)
    path.write_bytes(proto.SerializeToString())
    return path


@given(metadata=st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=5))
@quick
def test_it_reads_what_onnx_has_written(tmp_path: Path, metadata: dict[str, str]) -> None:
    assert read_onnx_metadata(write(tmp_path / "model.onnx", metadata)) == metadata


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\x08\x09", b"\x3a\x00", b"\x72\x04"]))
@quick
def test_no_bytes_do_worse_than_a_refusal(tmp_path: Path, data: bytes, start: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(start + data)
    try:
        metadata = read_onnx_metadata(file)
    except ModelFileError as error:
        assert str(file) in str(error)
    else:
        assert all(isinstance(text, str) for pair in metadata.items() for text in pair)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an ONNX file"),
        (b"<!doctype html>", "not an ONNX file"),
        (b"\x08\x09", "damaged"),  # no graph
        (b"\x08" + b"\xff" * 11, "damaged"),  # a number without end
        (b"\x08\x09\x3a\x05abc", "damaged"),  # a graph that is cut off
        (b"\x08\x09\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged"),  # 2 ** 63 bytes of graph
        (b"\x08\x09\x3a\x00\x72\x03\x0a\x01\xff", "damaged"),  # a key that is no text
        (b"\x08\x09\x3a\x00\x72\x02\x0a\x09", "damaged"),  # an entry longer than its message
        (b"\x08\x09\x3a\x00\x0b", "damaged"),  # a group
        (b"\x08\x09\x3a\x00\x02\x00", "damaged"),  # field 0
    ],
)
def test_each_kind_of_damage_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(ModelFileError, match=reason):
        read_onnx_metadata(file)


def test_what_comes_in_any_order_with_fields_of_any_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    entry = b"\x12\x01v\x0a\x01k\x1d\0\0\0\0"  # value first, and a field of four bytes that onnx doesn't know
    file.write_bytes(b"\x72" + bytes([len(entry)]) + entry + b"\xf9\x07" + bytes(8) + b"\x3a\x02ab\x08\x09")
    assert read_onnx_metadata(file) == {"k": "v"}
