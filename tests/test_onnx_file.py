from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from bearcnn.errors import ModelFileError
from bearcnn.inference.predictor import Predictor
from bearcnn.manifest import stamp_onnx
from bearcnn.onnx_file import read_onnx
from tests.helpers.onnx_models import brightness_model, make_manifest

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def write(path: Path, metadata: dict[str, str]) -> Path:
    proto = onnx.load_model_from_string(brightness_model())
    helper.set_model_props(proto, metadata)
    path.write_bytes(proto.SerializeToString())
    return path


@given(metadata=st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=5))
@quick
def test_it_reads_what_onnx_has_written(tmp_path: Path, metadata: dict[str, str]) -> None:
    assert read_onnx(write(tmp_path / "model.onnx", metadata)).metadata == metadata


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\x08\x09", b"\x3a\x00", b"\x72\x04"]))
@quick
def test_no_bytes_do_worse_than_a_refusal(tmp_path: Path, data: bytes, start: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(start + data)
    try:
        metadata = read_onnx(file).metadata
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
        read_onnx(file)


def test_what_comes_in_any_order_with_fields_of_any_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    entry = b"\x12\x01v\x0a\x01k\x1d\0\0\0\0"  # value first, and a field of four bytes that onnx doesn't know
    file.write_bytes(b"\x72" + bytes([len(entry)]) + entry + b"\xf9\x07" + bytes(8) + b"\x3a\x02\x12\x00\x08\x09")
    assert read_onnx(file).metadata == {"k": "v"}


def test_the_digest_is_of_all_bytes_but_the_metadata(tmp_path: Path) -> None:
    digests = {read_onnx(write(tmp_path / "model.onnx", {"k": text})).digest for text in ("", "v", "v" * 300)}
    assert len(digests) == 1
    other = onnx.load_model_from_string(brightness_model(constant=0.001))
    (tmp_path / "other.onnx").write_bytes(other.SerializeToString())
    assert read_onnx(tmp_path / "other.onnx").digest not in digests


def external_weights(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_location_alone(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def external_constant(proto: onnx.ModelProto) -> None:
    tensor = onnx.TensorProto(data_type=1, dims=[1])
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def custom_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].domain = "com.microsoft"


def endless_loop(proto: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["again"])],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in (("n", 7), ("more", 9))],
        [helper.make_tensor_value_info("again", 9, [])],
    )
    proto.graph.node.append(helper.make_node("Loop", ["", "yes"], [], body=body))


def own_function(proto: onnx.ModelProto) -> None:
    proto.functions.add(name="Sigmoid", domain="mine")


def training_graph(proto: onnx.ModelProto) -> None:
    proto.training_info.add()


def sparse_weights(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.add()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (external_weights, "weights in another file"),
        (external_location_alone, "weights in another file"),
        (external_constant, "weights in another file"),
        (custom_operator, "the operator 'Sigmoid' of 'com.microsoft'"),
        (endless_loop, "the operator 'Loop', which computes a graph of its own"),
        (own_function, "functions of its own"),
        (training_graph, "a graph for training"),
        (sparse_weights, "sparse weights"),
    ],
)
def test_what_no_file_of_bearcnn_has_is_refused_before_an_engine_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    proto = onnx.load_model_from_string(brightness_model())
    change(proto)
    file = tmp_path / "model.onnx"
    file.write_bytes(stamp_onnx(proto.SerializeToString(), make_manifest()))
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    with pytest.raises(ModelFileError, match=f"not opened: it has {reason}, which no file of bearcnn has"):
        Predictor(file)


def test_nothing_foreign_is_found_in_our_own_files(trained) -> None:
    assert read_onnx(trained[0].onnx_file).foreign == ""
