"""The metadata of an ONNX file, read without onnx or onnxruntime, which not every small computer has.

An ONNX file is one protobuf message: fields one after the other, each a number with its wire type, then its content
(https://protobuf.dev/programming-guides/encoding). What isn't metadata is skipped and never in memory.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from bearcnn.errors import ModelFileError

_START = b"\x08"  # every known writer puts field 1, the IR version, first
_GRAPH, _METADATA = 7, 14  # of ModelProto in onnx.proto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto


class _DamagedError(Exception):
    """The bytes are no protobuf message."""


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Read the `metadata_props` of an ONNX file.

    Raises:
        ModelFileError: it is not an ONNX file, or damaged.
        OSError: it can't be read.
    """
    metadata: dict[str, str] = {}
    graph = False
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(1)
        file.seek(0)
        try:
            for field, length in _read_fields(file, size):
                graph |= field == _GRAPH
                if field == _METADATA:
                    key, value = _read_entry(file.read(length))
                    metadata[key] = value
            if not graph:
                raise _DamagedError
        except _DamagedError:
            reason = "is damaged; copy or export it again" if start == _START else "is not an ONNX file"
            raise ModelFileError(f"{path} {reason}") from None
    return metadata


def _read_entry(content: bytes) -> tuple[str, str]:
    entry, texts = BytesIO(content), {_KEY: "", _VALUE: ""}
    for field, length in _read_fields(entry, len(content)):
        if field in texts:
            try:
                texts[field] = entry.read(length).decode()
            except UnicodeDecodeError:
                raise _DamagedError from None
    return texts[_KEY], texts[_VALUE]


def _read_fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield number and length of each field that has a length, with the file at its content."""
    while file.tell() < size:
        number, wire_type = divmod(_read_varint(file), 8)
        if wire_type == 0:
            _read_varint(file)
            continue
        if wire_type == 2:
            length = _read_varint(file)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:  # groups, which nobody writes any more
            raise _DamagedError
        place = file.tell()
        if number == 0 or place + length > size:
            raise _DamagedError
        if wire_type == 2:
            yield number, length
        file.seek(place + length)


def _read_varint(file: BinaryIO) -> int:
    """Read a number in groups of 7 bits, the lowest first; the high bit says that another group follows."""
    number = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise _DamagedError
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    raise _DamagedError
