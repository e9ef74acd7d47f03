"""Signs that are shown as they are: no control characters, none that reorder text, no bytes that aren't text."""

import unicodedata


def is_shown(text: str) -> bool:
    """Check whether text moves no cursor, begins no line and reorders nothing, wherever it is printed."""
    return text.isprintable() or all(sign.isprintable() or unicodedata.category(sign) == "Zs" for sign in text)


def show(text: str) -> str:
    r"""Return text in one line, with escapes for what isn't: `\n`, `\x1b`, and `\xf6` for a byte that is no text."""
    return text if text.isprintable() else "".join(sign if is_shown(sign) else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    number = ord(sign)
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else sign.encode("unicode_escape").decode()
