import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

import bearcnn
from bearcnn.errors import ModelFileError
from bearcnn.manifest import FORMAT, Manifest, read_manifest, stamp_onnx
from tests.helpers.onnx_models import (
    brightness_model,
    make_manifest,
    stamp_as_before,
    without_digest,
    write_model,
    write_weights,
)

RICH = make_manifest(
    name="Bär 🐻",
    classes=("not bear", "bear"),
    threshold=0.31,
    temperature=1.7,
    quantized=True,
    metrics={"test": {"roc_auc": {"value": 0.94, "low": None, "high": 0.96}}},
    config={"model": {"widths": [32, 64]}},
    data={"fingerprint": "ab" * 32, "train": 1000},
    versions={"bearcnn": "0.1.0"},
)

FIELDS = RICH.model_dump(mode="json")


def write_onnx(path: Path, metadata: dict[str, str]) -> Path:
    proto = onnx.load_model_from_string(brightness_model())
    helper.set_model_props(proto, metadata)
    path.write_bytes(proto.SerializeToString())
    return path


def test_an_onnx_file_gives_back_its_manifest(tmp_path: Path) -> None:
    path = tmp_path / "bear.onnx"
    path.write_bytes(stamp_onnx(brightness_model(), RICH))
    assert without_digest(read_manifest(path)) == RICH
    upper = path.rename(tmp_path / "BEAR.ONNX")
    assert without_digest(read_manifest(upper)) == RICH


def test_a_safetensors_file_gives_back_its_manifest(tmp_path: Path) -> None:
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = write_weights(tmp_path / "bear.safetensors", RICH, {"weights": weights})
    assert without_digest(read_manifest(path)) == RICH
    assert (load_file(path)["weights"] == weights).all()


def test_stamping_replaces_an_older_manifest_and_keeps_other_metadata(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "bear.onnx", {"author": "Ursula", "bearcnn": "{}"})
    path.write_bytes(stamp_onnx(path, make_manifest(name="first")))
    path.write_bytes(stamp_onnx(path.read_bytes(), make_manifest(name="second")))
    assert read_manifest(path).name == "second"
    entries = [(entry.key, entry.value) for entry in onnx.load(path).metadata_props]
    assert sorted(key for key, _ in entries) == ["author", "bearcnn", "bearcnn.digest"]
    assert ("author", "Ursula") in entries


def test_stamping_leaves_the_network_as_it_was() -> None:
    before, after = (
        onnx.load_model_from_string(data) for data in (brightness_model(), stamp_onnx(brightness_model(), RICH))
    )
    assert after.graph == before.graph
    assert after.opset_import == before.opset_import
    onnx.checker.check_model(after)


def test_onnxruntime_finds_the_same_manifest(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bear.onnx", name="Bär")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map["bearcnn"]
    assert Manifest.model_validate_json(text) == read_manifest(path)


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=4),
    st.text(min_size=1, max_size=200),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_other_metadata_and_any_name_survive(tmp_path: Path, others: dict[str, str], name: str) -> None:
    proto = onnx.load_model_from_string(brightness_model())
    helper.set_model_props(proto, others)
    path = tmp_path / "bear.onnx"
    manifest = make_manifest(name=name)
    path.write_bytes(stamp_onnx(proto.SerializeToString(), manifest))
    assert without_digest(read_manifest(path)) == manifest


def test_metadata_that_comes_before_the_graph_is_found(tmp_path: Path) -> None:
    # Protobuf fields may come in any order, and two messages one after the other are one message.
    metadata = onnx.ModelProto()
    helper.set_model_props(metadata, {"bearcnn": RICH.model_dump_json(exclude={"digest"})})
    path = tmp_path / "bear.onnx"
    path.write_bytes(metadata.SerializeToString() + brightness_model())
    assert read_manifest(path) == RICH


def test_the_manifest_of_a_later_version_of_the_same_format_is_read(tmp_path: Path) -> None:
    fields = FIELDS | {"burst_window": 3}
    path = write_onnx(tmp_path / "bear.onnx", {"bearcnn": json.dumps(fields)})
    assert read_manifest(path) == RICH


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bear.onnx", metrics={"roc_auc": float("nan")})
    assert read_manifest(path).metrics == {"roc_auc": None}


def test_the_manifest_of_a_large_model_is_read(tmp_path: Path) -> None:
    weights = helper.make_tensor("weights", TensorProto.UINT8, [8_000_000], bytes(8_000_000), raw=True)
    proto = onnx.load_model_from_string(brightness_model())
    proto.graph.initializer.append(weights)
    path = tmp_path / "bear.onnx"
    path.write_bytes(stamp_onnx(proto.SerializeToString(), RICH))
    assert without_digest(read_manifest(path)) == RICH


def test_every_truncated_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bear.onnx"
    whole = stamp_onnx(brightness_model(), RICH)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"damaged|not an ONNX file|no manifest"):
            read_manifest(path)


def test_every_truncated_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "bear.safetensors", make_manifest())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"damaged or not a safetensors file"):
            read_manifest(path)


@given(st.binary(max_size=200), st.sampled_from([".onnx", ".safetensors"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_do_worse_than_a_refusal(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"bear{suffix}"
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        read_manifest(path)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_byte_of_a_file_without_digest_is_read_past_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(stamp_as_before(brightness_model(), RICH))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "bear.onnx"
    path.write_bytes(whole)
    try:
        manifest = read_manifest(path)
    except ModelFileError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
    else:
        assert manifest.image_size > 0


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_model_without_our_manifest_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bear{suffix}"
    if suffix == ".onnx":
        write_onnx(path, {"author": "Ursula"})
    else:
        save_file({"weights": np.zeros(2, np.float32)}, path)
    with pytest.raises(ModelFileError, match=r"was not written by bearcnn.*bearcnn export"):
        read_manifest(path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "bear.onnx", {"bearcnn": json.dumps({"format": FORMAT + 1, "sizes": [64]})})
    with pytest.raises(ModelFileError, match=r"newer bearcnn; upgrade"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "valid dictionary"),
        ("{}", "name: Field required"),
        (json.dumps(FIELDS | {"image_size": 0}), "image_size: .* greater than 0"),
        (json.dumps(FIELDS | {"threshold": 2}), "threshold: .* less than or equal to 1"),
        (json.dumps(FIELDS | {"classes": ["bear"]}), "classes.1: Field required"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_with_the_key(tmp_path: Path, text: str, reason: str) -> None:
    path = write_onnx(tmp_path / "bear.onnx", {"bearcnn": text})
    with pytest.raises(ModelFileError, match=rf"damaged.*{reason}"):
        read_manifest(path)


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".PTH", ".pickle"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    path = tmp_path / f"bear{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError, match="can run any code"):
        read_manifest(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.onnx", "does not exist"),
        ("folder", "is a folder"),
        ("folder.onnx", "is a folder"),
        ("photo.jpg", "neither a .onnx nor a .safetensors"),
        ("text.onnx", "not an ONNX file"),
        ("empty.onnx", "not an ONNX file"),
        ("text.safetensors", "not a safetensors file"),
        ("text.onnx/below.onnx", "does not exist"),
        (f"{'long' * 100}.onnx", "can't be read: File name too long"),
    ],
)
def test_what_is_no_model_file_is_refused_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    for folder in ("folder", "folder.onnx"):
        (tmp_path / folder).mkdir()
    for file in ("photo.jpg", "text.onnx", "text.safetensors"):
        (tmp_path / file).write_text("A bear is a bear is a bear.")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelFileError, match=reason) as refused:
        read_manifest(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_damaged_onnx_file_is_refused_in_one_line_and_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bear.onnx"
    path.write_bytes(stamp_onnx(brightness_model(), RICH)[:-40])
    with pytest.raises(ModelFileError, match=r"bear\.onnx is damaged; copy or export it again$"):
        read_manifest(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow  # starts a process
def test_reading_a_manifest_loads_no_heavy_package(tmp_path: Path) -> None:
    write_model(tmp_path / "bear.onnx")
    write_weights(tmp_path / "bear.safetensors", RICH)
    code = (
        "import sys, pathlib, bearcnn.manifest as a\n"
        "for path in sys.argv[1:]: a.read_manifest(pathlib.Path(path))\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bear.onnx", tmp_path / "bear.safetensors"],
        cwd=Path(bearcnn.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"torch", "fastai", "matplotlib", "pandas", "scipy", "sklearn", "onnx"}
    assert not heavy & set(result.stdout.split())


def test_two_thresholds_are_kept_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "bear.onnx"
    path.write_bytes(stamp_onnx(brightness_model(), make_manifest(threshold=0.1, unsure=(0.1, 0.9))))
    assert read_manifest(path).unsure == (0.1, 0.9)
    wrong = {**make_manifest().model_dump(mode="json"), "unsure": [0.9, 0.1]}
    with pytest.raises(ModelFileError, match="the lower threshold must come first"):
        read_manifest(write_onnx(tmp_path / "wrong.onnx", {"bearcnn": json.dumps(wrong)}))
