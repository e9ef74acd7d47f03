"""An ONNX file, read without onnx or onnxruntime, which not every small computer has.

An ONNX file is one protobuf message: fields one after the other, each a number with its wire type, then its content
(https://protobuf.dev/programming-guides/encoding). The numbers of the fields are those of onnx.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bearcnn.digests import Digest
from bearcnn.errors import ModelFileError

_START = b"\x08"  # every known writer puts field 1, the IR version, first
_GRAPH, _METADATA = 7, 14  # of ModelProto
_FOREIGN_PARTS = {20: "a graph for training", 25: "functions of its own"}
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15  # of GraphProto
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of NodeProto
_TENSOR, _TENSORS, _SUBGRAPH, _SUBGRAPHS, _SPARSE, _SPARSES = 5, 10, 6, 11, 22, 23  # of AttributeProto
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of TensorProto

_STANDARD = ("", "ai.onnx")
"""The domain of the operators that are part of ONNX."""

_LENGTH = 2
"""The wire type of what has a length: text, bytes and messages."""


class _DamagedError(Exception):
    """The bytes are no protobuf message."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """The parts of an ONNX file."""

    metadata: dict[str, str]
    digest: str
    """Of all bytes but the metadata's: of the graph with its weights."""
    foreign: str
    """The part of the graph that no file of bearcnn has, or ""."""


Field = tuple[int, int, int, int, int]
"""Number, wire type, place, and where its content begins and ends; the value in place of the last two for a number."""


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file; it is in memory as long as that takes.

    Raises:
        ModelFileError: it is not an ONNX file, or damaged.
        OSError: it can't be read.
    """
    content = path.read_bytes()
    try:
        return _parse(content)
    except _DamagedError:
        reason = "is damaged; copy or export it again" if content.startswith(_START) else "is not an ONNX file"
        raise ModelFileError(f"{path} {reason}") from None


def digest_onnx(content: bytes) -> str:
    """Return the digest of the bytes of an ONNX file that was made a moment before."""
    return _parse(content).digest


def _parse(content: bytes) -> OnnxFile:
    metadata: dict[str, str] = {}
    digest, done, graph, foreign = Digest(), 0, False, ""
    view = memoryview(content)
    for number, wire_type, place, start, end in _fields(content, 0, len(content)):
        if wire_type != _LENGTH:
            continue
        if number == _METADATA:
            key, value = _read_entry(content, start, end)
            metadata[key] = value
            digest.update(view[done:place])
            done = end
        elif number == _GRAPH:
            graph = True
            foreign = foreign or _find_foreign(content, start, end)
        elif number in _FOREIGN_PARTS:
            foreign = foreign or _FOREIGN_PARTS[number]
    digest.update(view[done:])
    if not graph:
        raise _DamagedError
    return OnnxFile(metadata, digest.text(), foreign)


def _find_foreign(content: bytes, start: int, end: int) -> str:
    """Say what a graph has that bearcnn never writes, or return "".

    A graph may name other files for its weights, operators of other makers, whose code reads what it likes, and
    subgraphs that are repeated without end.
    """
    for number, wire_type, _, begin, stop in _fields(content, start, end):
        if number == _SPARSE_INITIALIZER:
            return "sparse weights"
        if wire_type == _LENGTH and number == _NODE:
            found = _check_node(content, begin, stop)
        elif wire_type == _LENGTH and number == _INITIALIZER:
            found = _check_tensor(content, begin, stop)
        else:
            continue
        if found:
            return found
    return ""


def _check_node(content: bytes, start: int, end: int) -> str:
    operator, domain, attributes = "", "", []
    for number, wire_type, _, begin, stop in _fields(content, start, end):
        if wire_type == _LENGTH and number == _OPERATOR:
            operator = _text(content, begin, stop)
        elif wire_type == _LENGTH and number == _DOMAIN:
            domain = _text(content, begin, stop)
        elif wire_type == _LENGTH and number == _ATTRIBUTE:
            attributes.append((begin, stop))
    if domain not in _STANDARD:
        return f"the operator {operator[:80]!r} of {domain[:80]!r}"
    for begin, stop in attributes:
        for number, wire_type, _, first, last in _fields(content, begin, stop):
            if number in (_SUBGRAPH, _SUBGRAPHS):
                return f"the operator {operator[:80]!r}, which computes a graph of its own"
            if number in (_SPARSE, _SPARSES):
                return "sparse weights"
            if (
                wire_type == _LENGTH
                and number in (_TENSOR, _TENSORS)
                and (found := _check_tensor(content, first, last))
            ):
                return found
    return ""


def _check_tensor(content: bytes, start: int, end: int) -> str:
    for number, _, _, value, _ in _fields(content, start, end):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value):
            return "weights in another file"
    return ""


def _read_entry(content: bytes, start: int, end: int) -> tuple[str, str]:
    texts = {_KEY: "", _VALUE: ""}
    for number, wire_type, _, begin, stop in _fields(content, start, end):
        if number in texts and wire_type == _LENGTH:
            texts[number] = _text(content, begin, stop)
    return texts[_KEY], texts[_VALUE]


def _text(content: bytes, start: int, end: int) -> str:
    try:
        return content[start:end].decode()
    except UnicodeDecodeError:
        raise _DamagedError from None


def _fields(content: bytes, start: int, end: int) -> Iterator[Field]:
    """Yield each field of the message between two places; numbers of one byte, which most are, are read right here."""
    place = start
    while place < end:
        key, begin = content[place], place + 1
        if key >= 0x80:
            key, begin = _varint(content, place, end)
        number, wire_type = key >> 3, key & 7
        if wire_type == _LENGTH:
            length = content[begin] if begin < end else 0x80
            begin += 1
            if length >= 0x80:
                length, begin = _varint(content, begin - 1, end)
        elif wire_type == 0:
            value, stop = _varint(content, begin, end)
            yield number, wire_type, place, value, stop
            place = stop
            continue
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:  # groups, which nobody writes any more
            raise _DamagedError
        stop = begin + length
        if number == 0 or stop > end:
            raise _DamagedError
        yield number, wire_type, place, begin, stop
        place = stop


def _varint(content: bytes, place: int, end: int) -> tuple[int, int]:
    """Read a number in groups of 7 bits, the lowest first; the high bit says that another group follows."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise _DamagedError
        byte = content[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _DamagedError
