"""The manifest of a model file: its content, and how it is written and read.

`model.onnx` and `model.safetensors` each carry the manifest as JSON under the metadata key "bearcnn": a copy of the
file alone is enough. No code in the file is run, and no engine is needed to read it. Two digests find a changed byte:
the manifest has that of the network's bytes, and the metadata that of the manifest.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bearcnn.digests import SEAL_KEY, seal
from bearcnn.errors import ModelFileError
from bearcnn.geometry import ResizeMode
from bearcnn.onnx_file import digest_onnx, read_onnx
from bearcnn.registry import load
from bearcnn.safetensors_file import digest_safetensors, read_sealed, seal_safetensors
from bearcnn.signs import is_shown

FORMAT: Final = 1
"""The newest manifest format that this version reads, and the one that it writes."""

MANIFEST_KEY: Final = "bearcnn"
"""The metadata key that only files of bearcnn have."""
_PICKLE_SUFFIXES: Final = frozenset({".pkl", ".pickle", ".pt", ".pth"})
_DEEPEST: Final = 20
"""Levels of tables and lists in a manifest; our own have 5, and pydantic writes 255."""
_WRITTEN_BY: Final = "write one with `bearcnn export`"


Probability = Annotated[float, Field(ge=0, le=1)]


def _printable(name: str) -> str:
    if not is_shown(name):
        raise ValueError("a name can't be printed")
    return name


PrintableName = Annotated[str, AfterValidator(_printable)]
"""A name that moves no cursor and begins no line, wherever it is shown."""


class Manifest(BaseModel):
    """Everything needed to use a model, and its origin.

    Keys that a later version adds are ignored as long as that version leaves `format` unchanged.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: int = FORMAT
    """The manifest's format; it is raised when an older bearcnn would misuse the model."""
    name: str
    """The model's name."""
    classes: tuple[PrintableName, PrintableName]
    """The names of the negative and the positive class."""
    image_size: int = Field(gt=0, le=4096)
    """The side of the square of pixels that the network takes."""
    resize: ResizeMode
    """How a photo is made square."""
    subclasses: tuple[tuple[int, str], ...] = ((0, ""), (1, ""))
    """Class and name of each output of the network's head; a class is the sum of its outputs."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The lowest probability that counts as positive."""
    unsure: tuple[Probability, Probability] | None = None
    """The lowest probability that a person should look at, and the lowest that counts as positive without a look."""
    temperature: float = Field(default=1.0, gt=0)
    """The divisor of the logits for calibration; the network in the file applies it."""
    quantized: bool = False
    """Whether the network computes with 8-bit integers."""
    metrics: dict[str, Any] = {}
    """The scores of the model on validation and test photos, and those of cross-validation (`train.folds`)."""
    config: dict[str, dict[str, Any]] = {}
    """The configuration that the model was trained with."""
    data: dict[str, Any] = {}
    """The training data set: number of photos, and fingerprint."""
    body: dict[str, str] = {}
    """The pretrained body in it: name, licence, sha256 of the file with its weights, and the photos that these were
    trained on ("" if unknown); empty for none. If training changed these weights, `fine_tuned` says which."""
    versions: dict[str, str] = {}
    """The versions of bearcnn and of the packages that trained the model."""
    created: str = ""
    """The time of writing, in ISO 8601."""
    digest: str = ""
    """Of the network's bytes in the file, without the metadata; empty in files of versions before there was one."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, fields: Any) -> Any:
        """Rename the two fields that model files of bearcnn 0.1 call otherwise."""
        if not isinstance(fields, dict):
            return fields
        return {{"fit": "resize", "kinds": "subclasses"}.get(name, name): value for name, value in fields.items()}

    @model_validator(mode="after")
    def _whole_body(self) -> Self:
        if self.body and not {"name", "licence"} <= self.body.keys():
            raise ValueError("body: its name and its licence belong together")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.unsure is not None and self.unsure[0] > self.unsure[1]:
            raise ValueError("unsure: the lower threshold must come first")
        return self

    @property
    def output_classes(self) -> list[int]:
        """The class of each output of the network's head."""
        return [label for label, _ in self.subclasses]


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a `.onnx` or `.safetensors` file, and check that the file is as it was written.

    Raises:
        ModelFileError: the file is missing, damaged, not a model file or not written by bearcnn.
    """
    if check_model_file(path) == ".safetensors":
        return _read_safetensors(path)
    file = read_onnx(path)
    text, sealed = file.metadata.get(MANIFEST_KEY), file.metadata.get(SEAL_KEY)
    if sealed is not None and sealed != seal(file.digest, {MANIFEST_KEY: text or ""}):
        raise _changed(path)
    manifest = _parse_manifest(text, path)
    _check_digest(path, manifest, file.digest, sealed is not None)
    if file.foreign:
        raise ModelFileError(
            f"{path} is not opened: it has {file.foreign}, which no file of bearcnn has; {_WRITTEN_BY}"
        )
    return manifest


def check_model_file(path: Path) -> str:
    """Check by name that a file may be a model, and that it can be read; return its suffix in lower case.

    Raises:
        ModelFileError: it is missing, a folder, a pickle, not a model file, or can't be read.
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
            raise ModelFileError(
                f"{path} is neither a .onnx nor a .safetensors file, which alone bearcnn reads; {_WRITTEN_BY}"
            )
        with path.open("rb"):
            return suffix
    except OSError as error:
        raise ModelFileError(f"{path} can't be read: {error.strerror or error}") from None


def stamp_onnx(model: Path | bytes, manifest: Manifest) -> bytes:
    """Return an ONNX model, given as a file or its bytes, with this manifest in its metadata in place of any other."""
    import onnx  # slow to load, and only needed for writing

    proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load_model(model)
    others = {entry.key: entry.value for entry in proto.metadata_props if entry.key not in (MANIFEST_KEY, SEAL_KEY)}
    digest = digest_onnx(proto.SerializeToString())
    text = manifest.model_copy(update={"digest": digest}).model_dump_json()
    metadata = {**others, MANIFEST_KEY: text, SEAL_KEY: seal(digest, {MANIFEST_KEY: text})}
    onnx.helper.set_model_props(proto, metadata)
    stamped: bytes = proto.SerializeToString()
    return stamped


def stamp_safetensors(weights: bytes, manifest: Manifest) -> bytes:
    """Return a safetensors file, given as its bytes, with this manifest in its header in place of any other."""
    stamped = manifest.model_copy(update={"digest": digest_safetensors(weights)})
    return seal_safetensors(weights, {MANIFEST_KEY: stamped.model_dump_json()})


def _parse_manifest(text: str | None, path: Path) -> Manifest:
    if text is None:
        raise ModelFileError(f"{path} was not written by bearcnn (it holds no manifest); {_WRITTEN_BY}")
    try:
        fields = json.loads(text)
        if _is_deeper(fields, _DEEPEST):
            raise RecursionError
        if "\\u" in text:  # half of a surrogate pair is no text: it couldn't be written again
            json.dumps(fields, ensure_ascii=False).encode()
        version = fields.get("format", FORMAT) if isinstance(fields, dict) else FORMAT
        if isinstance(version, int) and version > FORMAT:
            raise ModelFileError(f"{path} was written by a newer bearcnn; upgrade with: pip install -U bearcnn")
        return Manifest.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "it"
        raise ModelFileError(f"{path} is damaged: in its manifest, {where}: {problem['msg']}; {_WRITTEN_BY}") from None
    except (ValueError, RecursionError):  # no JSON, or numbers of thousands of digits, or nested without end
        raise ModelFileError(f"{path} is damaged: its manifest is not JSON; {_WRITTEN_BY}") from None


def _is_deeper(value: Any, levels: int) -> bool:
    """Check whether tables and lists lie in each other on more levels than this."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _read_safetensors(path: Path) -> Manifest:
    """Read a safetensors file with safetensors' own checks, which predictions from a .onnx file don't need."""
    safe_open, damaged = load("safetensors:safe_open"), load("safetensors:SafetensorError")
    try:
        with safe_open(path, framework="numpy") as file:
            sealed = SEAL_KEY in (file.metadata() or {})
    except damaged as error:
        raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None
    metadata, content = read_sealed(path)
    manifest = _parse_manifest(metadata.get(MANIFEST_KEY), path)
    _check_digest(path, manifest, digest_safetensors(content), sealed)
    return manifest


def _check_digest(path: Path, manifest: Manifest, digest: str, sealed: bool) -> None:
    """Check that the manifest has this digest and a digest of its own, or is of a version that had neither."""
    if (manifest.digest or sealed) and not (manifest.digest == digest and sealed):
        raise _changed(path)


def _changed(path: Path) -> ModelFileError:
    return ModelFileError(
        f"{path} is damaged: its bytes are not those that were written; copy it again, or export it again"
    )
