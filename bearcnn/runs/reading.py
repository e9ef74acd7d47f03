"""The one reader of the JSON in run and sweep folders: each file has a pydantic model, and most carry a checksum.

A file may be damaged by a worn card or a full disk, edited, or a stranger's. Whatever is in it, reading it ends in a
value of its model or in a ValueError whose message is the reason, in a few words. The callers add the file's name and
how to go on.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, ValidationError

CHECKSUM = "checksum"
"""The key of the checksum in the object that it is of."""

Value = TypeVar("Value")
AnyModel = TypeVar("AnyModel", bound="Content")


class Content(BaseModel):
    """The content of a file or of a part of it. Types are strict; unknown keys, as of a later version, are dropped."""

    model_config = ConfigDict(strict=True, frozen=True)


def _check_below(path: str) -> str:
    # As this computer reads paths: elsewhere than on Windows a name may have a colon or a backslash in it.
    here = PurePath(path)
    if here.drive or here.root or path.startswith("/") or ".." in here.parts or "\0" in path:
        raise ValueError("should be a path below the photos' folder")
    return path


def _check_folder(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("should be the path of a folder")
    return path


def _check_name(name: str) -> str:
    if name in ("", ".", "..") or len(name) > 255 or any(sign in name for sign in "/\\:\0"):
        raise ValueError("should be the name of a folder")
    return name


def _check_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Text = InstanceOf[str]
"""Any text. A file name that isn't UTF-8 holds surrogates, which pydantic's own type may refuse."""

PathBelow = Annotated[Text, AfterValidator(_check_below)]
"""A path below a folder: neither absolute nor with `..`, so that no file of a stranger leads elsewhere."""

Folder = Annotated[Text, AfterValidator(_check_folder)]
"""The path of a folder."""

Name = Annotated[Text, AfterValidator(_check_name)]
"""The name of one folder."""

Time = Annotated[Text, AfterValidator(_check_time)]
"""A time as ISO 8601 writes it."""

Count = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


def parse_json(content: bytes | str) -> Any:
    """Parse JSON, also with lone surrogates; raises ValueError with a reason, whatever the content."""
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        raise ValueError("it isn't text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it isn't JSON: {error}" if content.strip() else "it is empty") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # Python's limit of digits
        raise ValueError("a number in it is too long") from None


def read_object(content: bytes | str, model: type[AnyModel], *, unchecked: Collection[str] = ()) -> AnyModel:
    """Read an object with `model`, and compare its checksum if it has one; older files have none.

    Args:
        content: JSON.
        model: what the object must be like.
        unchecked: keys that the checksum isn't of.

    Raises:
        ValueError: the content is no such object, or it has changed since it was written.
    """
    fields = parse_json(content)
    if not isinstance(fields, dict):
        raise ValueError("it should be a JSON object")
    if CHECKSUM in fields and fields[CHECKSUM] != checksum(fields, unchecked):
        raise ValueError("it has changed since it was written: its checksum is another")
    return check(model.model_validate, fields)


def check(validate: Callable[[Any], Value], value: Any) -> Value:
    """Call a pydantic validation; its first problem becomes a ValueError of one line."""
    try:
        return validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "it"
        what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise ValueError(f"{where}: {what[:1].lower()}{what[1:]}") from None


def with_checksum(content: Mapping[str, Any], unchecked: Collection[str] = ()) -> dict[str, Any]:
    """Return an object with its checksum, which is of all keys but those that are `unchecked`."""
    return {**content, CHECKSUM: checksum(content, unchecked)}


def checksum(content: Mapping[str, Any], unchecked: Collection[str] = ()) -> str:
    """Hash an object, however its JSON is spaced and ordered."""
    rest = {key: value for key, value in content.items() if key != CHECKSUM and key not in unchecked}
    return hash_bytes(json.dumps(rest, sort_keys=True).encode())


def hash_bytes(content: bytes) -> str:
    """Hash the bytes of a file."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
