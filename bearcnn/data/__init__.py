"""Photos to labelled, split, decoded pixels."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called after each photo, picture or block of bytes, with the number done and the total."""
