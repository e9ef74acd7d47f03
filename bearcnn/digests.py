"""Digests by which a file with a changed byte is told from the one that was written.

They find damage, as of a worn memory card. They are no signature: who writes a file can write its digest as well.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

SEAL_KEY = "bearcnn.digest"
"""The metadata key, in model files and checkpoints, of the digest that covers the rest of the file."""


class Digest:
    """A digest of bytes as they come: half of their SHA-256, for which most processors have instructions.

    On an AMD EPYC it took 0.63 ms per MB, and blake2b 1.31.
    """

    def __init__(self) -> None:
        self._hash = sha256()

    def update(self, content: bytes | memoryview) -> None:
        """Add bytes."""
        self._hash.update(content)

    def text(self) -> str:
        """Return the digest of all bytes so far, in 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]


def seal(content: str, texts: Mapping[str, str]) -> str:
    """Return the digest of a file: of the digest of its `content`, and of the `texts` in its metadata by their keys."""
    digest = Digest()
    digest.update(json.dumps([content, sorted(texts.items())]).encode())
    return digest.text()
