"""What a model file says about itself: the manifest, and how it is written into and read from one file.

`model.onnx` and `model.safetensors` each carry the manifest as JSON under the metadata key "bearcnn", so that a copy of
the file alone is enough. Reading looks at the head of the file only: no network is built, no tensor loaded, no code of
the file run. It must never import torch or onnxruntime; the onnx package is needed by `stamp_onnx` alone.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bearcnn.config import ModelConfig, ResizeMode
from bearcnn.errors import ModelFileError

FORMAT: Final = 1
"""The newest manifest format that this version reads, and the one that it writes."""

_KEY: Final = "bearcnn"
_PICKLE_SUFFIXES: Final = frozenset({".pkl", ".pickle", ".pt", ".pth"})
_WRITTEN_BY: Final = "write one with `bearcnn export`"


class Manifest(BaseModel):
    """Everything needed to use a model, and to know where it came from.

    Keys that a later version adds are ignored as long as that version leaves `format` as it is.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: int = FORMAT
    """The manifest's format; it grows when an older bearcnn would misuse the model."""
    name: str
    """What the model is called."""
    classes: tuple[str, str]
    """The names of the negative and the positive class."""
    image_size: int = Field(gt=0)
    """The side of the square of pixels that the network takes."""
    resize: ResizeMode
    """How a photo becomes that square."""
    subclasses: tuple[tuple[int, str], ...] = ((0, ""), (1, ""))
    """Class and name of each output of the network's head; each class is the sum of its own."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The probability from which on a photo is called positive."""
    temperature: float = Field(default=1.0, gt=0)
    """What the logits were divided by for calibration; the network in the file has it built in."""
    quantized: bool = False
    """Whether the network computes with 8-bit integers."""
    metrics: dict[str, Any] = {}
    """How good the model is on the photos kept for that."""
    config: dict[str, Any] = {}
    """The configuration that it was trained with."""
    data: dict[str, Any] = {}
    """What it was trained on: counts and the fingerprint of the data set."""
    versions: dict[str, str] = {}
    """The versions of bearcnn and of the packages that trained it."""
    created: str = ""
    """When it was written, in ISO 8601."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, fields: Any) -> Any:
        """Model files of bearcnn 0.1 call two fields otherwise."""
        if not isinstance(fields, dict):
            return fields
        return {{"fit": "resize", "kinds": "subclasses"}.get(name, name): value for name, value in fields.items()}

    @property
    def output_classes(self) -> list[int]:
        """The class of each output of the network's head."""
        return [label for label, _ in self.subclasses]

    def window_centres(self, count: int) -> NDArray[np.float64]:
        """The centres of the model's `count` windows along either side of the picture, (count,), as shares of the side.

        Evenly spread ones are returned for a model that doesn't say how it is built.
        """
        known = {key: value for key, value in self.config.get("model", {}).items() if key in ModelConfig.model_fields}
        try:
            field = ModelConfig.model_validate(known).receptive_fields[-1][1] if known else None
        except ValidationError:  # of a later version
            field = None
        if field is not None:
            centres = field.centres(count, self.image_size)
            if centres[-1] < 1:
                return centres
        return (np.arange(count) + 0.5) / count


def read_manifest(path: Path) -> Manifest:
    """The manifest of a `.onnx` or `.safetensors` file.

    Raises:
        ModelFileError: the file is missing, damaged, of another kind or not written by bearcnn.
    """
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder, not a model file; name the model.onnx in it")
        if not path.exists():
            raise ModelFileError(f"{path} does not exist; `bearcnn train` makes a model, or name another file")
        if suffix in _PICKLE_SUFFIXES:
            raise ModelFileError(
                f"{path} is not opened: a {suffix} file can hold a pickle, and loading one can run any code; "
                "export the model as ONNX"
            )
        if suffix not in {".onnx", ".safetensors"}:
            raise ModelFileError(f"{path} is neither a .onnx nor a .safetensors file")
        text = _read_onnx_metadata(path) if suffix == ".onnx" else _read_safetensors_metadata(path)
    except OSError as error:
        raise ModelFileError(f"{path} can't be read: {error.strerror or error}") from None
    if text is None:
        raise ModelFileError(f"{path} was not written by bearcnn (it holds no manifest); {_WRITTEN_BY}")
    return _parse_manifest(text, path)


def stamp_onnx(model: Path | bytes, manifest: Manifest) -> bytes:
    """The ONNX model, given as a file or its bytes, with the manifest in its metadata in place of any older one."""
    import onnx  # the exporting side alone needs it

    proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load_model(model)
    metadata = {entry.key: entry.value for entry in proto.metadata_props} | {_KEY: manifest.model_dump_json()}
    onnx.helper.set_model_props(proto, metadata)
    stamped: bytes = proto.SerializeToString()
    return stamped


def safetensors_metadata(manifest: Manifest) -> dict[str, str]:
    """What safetensors' `save_file` takes as `metadata`."""
    return {_KEY: manifest.model_dump_json()}


def _parse_manifest(text: str, path: Path) -> Manifest:
    try:
        fields = json.loads(text)
        version = fields.get("format", FORMAT) if isinstance(fields, dict) else FORMAT
        if isinstance(version, int) and version > FORMAT:
            raise ModelFileError(f"{path} was written by a newer bearcnn; upgrade with: pip install -U bearcnn")
        return Manifest.model_validate(fields)
    except json.JSONDecodeError:
        raise ModelFileError(f"{path} is damaged: its manifest is not JSON; {_WRITTEN_BY}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "it"
        raise ModelFileError(f"{path} is damaged: in its manifest, {where}: {problem['msg']}; {_WRITTEN_BY}") from None


class _ProtobufError(Exception):
    """Bytes that can't be a protobuf message; the message says why."""


def _read_safetensors_metadata(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(_KEY)
    except SafetensorError as error:
        raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None


def _read_onnx_metadata(path: Path) -> str | None:
    """The manifest's JSON from the metadata of an ONNX file, stepping over the graph without reading it.

    An ONNX file is a protobuf ModelProto (onnx.proto): field 7 is the graph, field 14 one key (1) and value (2).
    """
    found, has_graph = None, False
    with path.open("rb") as file:
        size = path.stat().st_size
        looks_like_onnx = file.read(1) == b"\x08"  # every known writer puts field 1, the IR version, first
        file.seek(0)
        try:
            while file.tell() < size:
                field, length = _read_tag(file, size)
                if field == 14:
                    entry = _read_entry(file, file.tell() + length)
                    found = entry.get(2, "") if entry.get(1) == _KEY else found
                else:
                    has_graph |= field == 7
                    file.seek(length, os.SEEK_CUR)
        except _ProtobufError as error:
            problem = f"is damaged ({error}); copy or export it again" if looks_like_onnx else "is not an ONNX file"
            raise ModelFileError(f"{path} {problem}") from None
    if not has_graph:
        raise ModelFileError(f"{path} is not an ONNX file")
    return found


def _read_entry(file: BinaryIO, end: int) -> dict[int, str]:
    entry = {}
    while file.tell() < end:
        field, length = _read_tag(file, end)
        try:
            entry[field] = file.read(length).decode()
        except UnicodeDecodeError:
            raise _ProtobufError("its metadata is not text") from None
    return entry


def _read_tag(file: BinaryIO, end: int) -> tuple[int, int]:
    """The number of the next protobuf field, and how many bytes its value has from here on."""
    tag = _read_varint(file)
    field, wire_type = tag >> 3, tag & 7
    if wire_type == 0:
        start = file.tell()
        _read_varint(file)
        length = file.tell() - start
        file.seek(start)
    elif wire_type == 2:
        length = _read_varint(file)
    elif wire_type in (1, 5):
        length = 8 if wire_type == 1 else 4
    else:
        raise _ProtobufError(f"a field of unknown kind at byte {file.tell()}")
    if field == 0 or file.tell() + length > end:
        raise _ProtobufError("it ends too early")
    return field, length


def _read_varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise _ProtobufError("it ends too early")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise _ProtobufError("a number that never ends")
