"""A safetensors file with a digest in its header, so that a changed byte is noticed when it is read.

The format (https://github.com/huggingface/safetensors): 8 bytes with the length of a header, the header as JSON with
type, shape and place of each tensor and a table of texts, then the tensors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bearcnn.digests import SEAL_KEY, Digest, seal
from bearcnn.errors import ModelFileError

_METADATA = "__metadata__"


def digest_safetensors(content: bytes) -> str:
    """Return the digest of the tensors with their names, whatever the texts in the header.

    Raises:
        ValueError: the bytes are no safetensors file.
    """
    header, _, data = _divide(content)
    digest = Digest()
    digest.update(json.dumps(header, sort_keys=True).encode())
    digest.update(data)
    return digest.text()


def seal_safetensors(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file with these texts in its header in place of others, and a digest of all."""
    header, _, data = _divide(content)
    sealed = {**metadata, SEAL_KEY: seal(digest_safetensors(content), metadata)}
    text = json.dumps({_METADATA: sealed, **header}).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    return b"".join((len(text).to_bytes(8, "little"), text, data))


def read_sealed(path: Path) -> tuple[dict[str, str], bytes]:
    """Read a safetensors file whose digest is right: the texts in its header without the digest, and its bytes.

    A file of a version before there were digests has none.

    Raises:
        ModelFileError: it is no safetensors file, or a byte of it has changed.
        OSError: it can't be read.
    """
    content = path.read_bytes()
    try:
        _, metadata, _ = _divide(content)
        wanted = metadata.pop(SEAL_KEY, None)
        if wanted not in (None, seal(digest_safetensors(content), metadata)):
            raise ModelFileError(f"{path} is damaged: its bytes are not those that were written; copy it again")
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None
    return metadata, content


def _divide(content: bytes) -> tuple[dict[str, Any], dict[str, str], memoryview]:
    """Return what the header says of each tensor, its texts, and the tensors' bytes; raises ValueError for others."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("the header is cut off")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop(_METADATA, {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("the header is no table of tensors")
    return header, metadata, memoryview(content)[8 + length :]
