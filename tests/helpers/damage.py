"""Seeded damage to files: what a worn card, a full disk, an editor or a stranger makes of them."""

import json
import random
from collections.abc import Iterator
from typing import Any

DEEP = "[" * 100_000
DIGITS = "9" * 5_000
VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    "",
    "x",
    [],
    [1],
    {},
    {"x": 1},
    "../../x",
    "/etc/hostname",
    "a\0b",
    "\udcff",
    "x" * 400,
)
"""What takes the place of a value: other types, other numbers, paths that lead elsewhere."""


def damage(content: bytes, rng: random.Random, rounds: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield kinds of damage and what each makes of the content; every round has one of each kind, at other places."""
    for _ in range(rounds):
        yield "cut", content[: rng.randrange(len(content))]
        yield "bits", _flip_bits(content, rng)
        yield "byte", _put(content, rng.randrange(len(content)), bytes([rng.randrange(256)]))
        yield "zeros", _put(content, rng.randrange(len(content)), bytes(min(512, len(content))))
        yield "repeated", content + content
        yield from _change_json(content, rng)
    yield "empty", b""
    yield "deep", DEEP.encode()


def _flip_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _put(content: bytes, start: int, part: bytes) -> bytes:
    return (content[:start] + part)[: len(content)] + content[start + len(part) :]


def _change_json(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Change one value of a JSON document, or of one line of a file of JSON lines."""
    lines = content.splitlines() if _is_json(content.splitlines()[0]) else [content]
    if not all(map(_is_json, lines)):
        return
    number = rng.randrange(len(lines))
    for kind in ("type", "type", "deleted", "number", "nested", "line"):
        document = json.loads(lines[number])
        if kind == "line":
            if len(lines) > 1:
                yield kind, b"\n".join([*lines[:number], *lines[number + 1 :]]) + b"\n"
            continue
        parent, key = rng.choice(list(_places(document)))
        if kind == "deleted":
            del parent[key]
        else:
            parent[key] = {"type": rng.choice(VALUES), "number": "DIGITS", "nested": "DEEP"}[kind]
        text = json.dumps(document).replace('"DIGITS"', DIGITS).replace('"DEEP"', DEEP + "]" * len(DEEP))
        yield kind, b"\n".join([*lines[:number], text.encode(), *lines[number + 1 :]])


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """List every place of a document that holds a value."""
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(found):
        yield value, key
        yield from _places(part)
