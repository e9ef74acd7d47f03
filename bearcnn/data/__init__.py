"""Photos to labelled, split, decoded pixels."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with the number done and the total, after each photo, picture or block of bytes."""
