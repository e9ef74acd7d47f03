"""The manifest of a model file: its content, and how it is written and read.

`model.onnx` and `model.safetensors` each carry the manifest as JSON under the metadata key "bearcnn": a copy of the
file alone is enough. No code in the file is run, and no engine is needed to read it.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bearcnn.errors import ModelFileError
from bearcnn.geometry import ResizeMode
from bearcnn.onnx_metadata import read_onnx_metadata
from bearcnn.registry import load

FORMAT: Final = 1
"""The newest manifest format that this version reads, and the one that it writes."""

MANIFEST_KEY: Final = "bearcnn"
"""The metadata key that only files of bearcnn have."""
_PICKLE_SUFFIXES: Final = frozenset({".pkl", ".pickle", ".pt", ".pth"})
_WRITTEN_BY: Final = "write one with `bearcnn export`"


Probability = Annotated[float, Field(ge=0, le=1)]


class Manifest(BaseModel):
    """Everything needed to use a model, and its origin.

    Keys that a later version adds are ignored as long as that version leaves `format` unchanged.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    format: int = FORMAT
    """The manifest's format; it is raised when an older bearcnn would misuse the model."""
    name: str
    """The model's name."""
    classes: tuple[str, str]
    """The names of the negative and the positive class."""
    image_size: int = Field(gt=0)
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
    config: dict[str, Any] = {}
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

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, fields: Any) -> Any:
        """Rename the two fields that model files of bearcnn 0.1 call otherwise."""
        if not isinstance(fields, dict):
            return fields
        return {{"fit": "resize", "kinds": "subclasses"}.get(name, name): value for name, value in fields.items()}

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
    """Read the manifest of a `.onnx` or `.safetensors` file.

    Raises:
        ModelFileError: the file is missing, damaged, not a model file or not written by bearcnn.
    """
    if check_model_file(path) == ".safetensors":
        return _parse_manifest(_read_safetensors_metadata(path), path)
    return _parse_manifest(read_onnx_metadata(path).get(MANIFEST_KEY), path)


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
    metadata = {entry.key: entry.value for entry in proto.metadata_props} | {MANIFEST_KEY: manifest.model_dump_json()}
    onnx.helper.set_model_props(proto, metadata)
    stamped: bytes = proto.SerializeToString()
    return stamped


def safetensors_metadata(manifest: Manifest) -> dict[str, str]:
    """Return the `metadata` argument of safetensors' `save_file`."""
    return {MANIFEST_KEY: manifest.model_dump_json()}


def _parse_manifest(text: str | None, path: Path) -> Manifest:
    if text is None:
        raise ModelFileError(f"{path} was not written by bearcnn (it holds no manifest); {_WRITTEN_BY}")
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


def _read_safetensors_metadata(path: Path) -> str | None:
    """Read the metadata with safetensors, which predictions from a .onnx file don't need."""
    safe_open, damaged = load("safetensors:safe_open"), load("safetensors:SafetensorError")
    try:
        with safe_open(path, framework="numpy") as file:
            text: str | None = (file.metadata() or {}).get(MANIFEST_KEY)
            return text
    except damaged as error:
        raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None
