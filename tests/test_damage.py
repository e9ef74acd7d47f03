"""A changed byte of a model file, a checkpoint or a cache is noticed; nothing else is refused for it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bearcnn.errors import ModelFileError, ResumeError
from bearcnn.inference.predictor import Predictor, predict_rows
from bearcnn.inference.score import predict_split
from bearcnn.manifest import Manifest, read_manifest, stamp_onnx
from bearcnn.model.load import load_model, load_weights
from bearcnn.runs import Run
from bearcnn.training.checkpoint import best_file, last_file, read_checkpoint
from tests.helpers.onnx_models import (
    brightness_model,
    make_manifest,
    stamp_as_before,
    without_digest,
    write_model,
    write_weights,
)

PICTURES = np.zeros((3, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    "write", [write_model, lambda path: write_weights(path, make_manifest())], ids=["onnx", "weights"]
)
def test_every_flipped_bit_of_a_model_file_is_noticed(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    file = write(tmp_path / f"bear{'.onnx' if write is write_model else '.safetensors'}")
    whole, chance = file.read_bytes(), random.Random(0)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(ModelFileError) as refused:
            read_manifest(file)
        assert "\n" not in str(refused.value)
    file.write_bytes(whole)
    assert without_digest(read_manifest(file)) == make_manifest()


def test_damaged_weights_are_refused_in_one_clear_line(tmp_path: Path) -> None:
    file = write_model(tmp_path / "bear.onnx")
    file.write_bytes(file.read_bytes().replace(np.float32(8 / 255).tobytes(), np.float32(7 / 255).tobytes(), 1))
    with pytest.raises(ModelFileError, match=r"bear\.onnx is damaged: its bytes are not those that were written; copy"):
        Predictor(file)


def test_other_metadata_and_another_threshold_change_no_digest(tmp_path: Path) -> None:
    file = write_model(tmp_path / "bear.onnx")
    before = read_manifest(file)
    file.write_bytes(stamp_onnx(file, before.model_copy(update={"threshold": 0.25})))
    proto = onnx.load(file)
    proto.metadata_props.add(key="author", value="Ursula")
    file.write_bytes(proto.SerializeToString())
    assert read_manifest(file) == before.model_copy(update={"threshold": 0.25})


def test_a_file_from_before_there_were_digests_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bear.onnx"
    file.write_bytes(stamp_as_before(brightness_model(), make_manifest()))
    assert read_manifest(file) == make_manifest()
    assert Predictor(file).predict_pixels(PICTURES)[0].shape == (3,)


def test_a_digest_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    proto = onnx.load_model_from_string(write_model(tmp_path / "bear.onnx").read_bytes())
    manifest = next(entry.value for entry in proto.metadata_props if entry.key == "bearcnn")
    helper.set_model_props(proto, {"bearcnn": manifest})
    (tmp_path / "bear.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError, match="is damaged"):
        read_manifest(tmp_path / "bear.onnx")


def flip_some(file: Path, load: Callable[[], object], error: type[Exception], count: int = 40) -> None:
    whole, chance = file.read_bytes(), random.Random(1)
    for _ in range(count):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(error, match="damaged"):
            load()
    file.write_bytes(whole)
    load()


def test_damage_of_a_runs_weights_and_checkpoints_is_noticed(trained, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(trained[0].directory, tmp_path / "run")))
    network = load_model(run.weights_file).network
    flip_some(run.weights_file, lambda: load_model(run.weights_file), ModelFileError)
    flip_some(best_file(run), lambda: load_weights(best_file(run), network), ModelFileError)
    flip_some(last_file(run), lambda: read_checkpoint(run), ResumeError)


# Graphs that can't be computed


def change_output(*nodes: onnx.NodeProto, initializers: list[TensorProto] | None = None) -> bytes:
    """The brightness model with further nodes between `first`, which was its probability, and the probability."""
    proto = onnx.load_model_from_string(brightness_model())
    for node in proto.graph.node:
        node.output[:] = ["first" if name == "probability" else name for name in node.output]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(initializers or [])
    data: bytes = proto.SerializeToString()
    return data


def integers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


FAILS = change_output(
    helper.make_node("Reshape", ["first", "seven"], ["probability"]), initializers=[integers("seven", 7)]
)
ONE_FOR_ALL = change_output(
    helper.make_node("ReduceMean", ["first", "batch_axis"], ["probability"], keepdims=1),
    initializers=[integers("batch_axis", 0)],
)
HUGE = change_output(
    helper.make_node("Expand", ["first", "huge"], ["many"]),
    helper.make_node("ReduceMean", ["many", "axes"], ["probability"], keepdims=0),
    initializers=[integers("huge", 1_000_000, 1_000_000, 1), integers("axes", 0, 1)],
)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (FAILS, "can't be computed"),
        (ONE_FOR_ALL, r"outputs \(1,\), \(3, 4, 4\) for 3 pictures"),
        (HUGE, "can't be computed"),
    ],
    ids=["fails when run", "one answer for all", "10^12 numbers"],
)
def test_a_graph_that_gives_no_answers_is_refused_in_one_line(tmp_path: Path, model: bytes, reason: str) -> None:
    file = tmp_path / "bear.onnx"
    file.write_bytes(stamp_onnx(model, make_manifest()))
    with pytest.raises(ModelFileError, match=reason) as refused:
        Predictor(file).predict_pixels(PICTURES)
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelFileError, match=reason):
        predict_rows(Predictor(file), PICTURES, np.arange(3))


def test_a_network_that_answers_nonsense_is_not_scored(trained, tmp_path: Path) -> None:
    file = tmp_path / "bear.onnx"
    manifest = make_manifest(image_size=32)
    file.write_bytes(stamp_onnx(brightness_model(32, constant=float("nan")), manifest))
    with pytest.raises(ModelFileError, match=r"answers nan to .*: the file is damaged"):
        predict_split(Predictor(file), trained[1], "test")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"image_size": ' + "9" * 5_000 + "}", '{"metrics": ' + '{"a":' * 100_000, "[" * 900 + "]" * 900],
    ids=["brackets", "digits", "tables", "whole"],
)
def test_a_manifest_without_end_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    proto = onnx.load_model_from_string(brightness_model())
    helper.set_model_props(proto, {"bearcnn": text})
    (tmp_path / "bear.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError, match="is damaged") as refused:
        read_manifest(tmp_path / "bear.onnx")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["\x1b[2J", "bear\n0.999", "be\rar", "\u202egod"])
def test_a_class_name_that_cannot_be_printed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name can't be printed"):
        Manifest(**{**make_manifest().model_dump(), "classes": ("dark", name)})
