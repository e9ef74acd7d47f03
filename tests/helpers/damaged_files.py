"""Files that a worn card, a bad program or a stranger could leave: seeded mutations of whole ones."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

EVIL: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    10**30,
    1e308,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 10_000,
    "\ud800",
    "[/red]",
    "\x1b[2J",
    "a\nb",
    "../../etc/passwd",
    "/etc/passwd",
    "=1+2",
    [],
    {},
    [[]],
    ["bear"] * 1000,
    {"": None},
]
"""Values that no writer means."""


def mutate_bytes(content: bytes, chance: random.Random) -> bytes:
    """Flip bits, change or remove bytes, cut the file, write zeros, repeat or swap a part."""
    changed = bytearray(content)
    place = chance.randrange(max(1, len(changed)))
    kind = chance.choice(["bit", "bits", "byte", "zeros", "cut", "removed", "repeated", "noise", "swapped"])
    length = min(len(changed) - place, chance.choice([1, 4, 16, 512]))
    if kind == "bit":
        changed[place] ^= 1 << chance.randrange(8)
    elif kind == "bits":
        for _ in range(chance.randrange(2, 20)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == "byte":
        changed[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, changed[place] ^ 0xFF])
    elif kind == "zeros":
        changed[place : place + length] = bytes(length)
    elif kind == "cut":
        del changed[place:]
    elif kind == "removed":
        del changed[place : place + length]
    elif kind == "repeated":
        changed[place:place] = changed[place : place + length]
    elif kind == "noise":
        changed[place : place + length] = chance.randbytes(length)
    else:
        other = chance.randrange(len(changed))
        first, second = sorted((place, other))
        changed = changed[:first] + changed[second:] + changed[first:second]
    return bytes(changed)


def mutate_json(document: Any, chance: random.Random) -> Any:
    """Replace, remove, add or rename one value somewhere in a document."""
    changed = copy.deepcopy(document)
    places = list(_places(changed))
    if not places:
        return chance.choice(EVIL)
    parent, key = chance.choice(places)
    kind = chance.choice(["replaced", "replaced", "removed", "added", "renamed", "deep"])
    if kind == "removed":
        del parent[key]
    elif kind == "added" and isinstance(parent, list):
        parent.insert(key, chance.choice(EVIL))
    elif kind == "renamed" and isinstance(parent, dict):
        parent[chance.choice(["", "x", "[/]", str(key).upper()])] = parent.pop(key)
    elif kind == "deep":
        deep: Any = chance.choice(EVIL)
        for _ in range(200):
            deep = [deep] if chance.random() < 0.5 else {"a": deep}
        parent[key] = deep
    else:
        parent[key] = chance.choice(EVIL)
    return changed


def dump_mutated(document: Any, chance: random.Random) -> bytes:
    """A JSON document with one to three values changed, and now and then with bytes changed as well."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        document = mutate_json(document, chance)
    text = json.dumps(document).encode()
    kind = chance.randrange(12)
    if kind == 0:
        return mutate_bytes(text, chance)
    if kind == 1:
        return text.replace(b"0", b"9" * 5_000, 1)
    if kind == 2:
        return b"[" * 100_000 + text
    return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
