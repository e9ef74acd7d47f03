"""Digests by which a file with a changed byte is told from the one that was written.

They find damage, as of a worn memory card. They are no signature: who writes a file can write its digest as well.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b

SEAL_KEY = "bearcnn.digest"
"""The metadata key, in model files and checkpoints, of the digest that covers the rest of the file."""


class Digest:
    """A digest of bytes as they come; blake2b is fast without the help of the processor, as on a Raspberry Pi."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def update(self, content: bytes | memoryview) -> None:
        """Add bytes."""
        self._hash.update(content)

    def text(self) -> str:
        """Return the digest of all bytes so far, in 32 hexadecimal digits."""
        return self._hash.hexdigest()


def seal(content: str, texts: Mapping[str, str]) -> str:
    """Return the digest of a file: of the digest of its `content`, and of the `texts` in its metadata by their keys."""
    digest = Digest()
    digest.update(json.dumps([content, sorted(texts.items())]).encode())
    return digest.text()
