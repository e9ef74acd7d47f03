"""Tables of choices by name; a row can be added from outside."""

import difflib
from collections.abc import Iterable, Iterator
from pkgutil import resolve_name
from typing import Any, Generic, Protocol, TypeVar

from bearcnn.errors import BearcnnError


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name by which a user chooses it."""


Row = TypeVar("Row", bound=Named)


class Registry(Generic[Row]):
    """Rows by their names, in the order in which they were registered.

    Args:
        what: the singular noun for a row, such as "pooling mode".
        rows: the rows that bearcnn brings.
    """

    def __init__(self, what: str, rows: Iterable[Row]) -> None:
        self.what = what
        self._rows = {row.name: row for row in rows}

    def register(self, row: Row, *, first: bool = False) -> None:
        """Add a row behind the others, or before them.

        Raises:
            ValueError: there is a row of that name already.
        """
        if row.name in self._rows:
            raise ValueError(f"there is a {self.what} called {row.name} already")
        self._rows = {row.name: row, **self._rows} if first else {**self._rows, row.name: row}

    def unregister(self, name: str) -> None:
        """Remove a row."""
        del self._rows[name]

    def names(self) -> list[str]:
        """List every name."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Row:
        if name not in self._rows:
            raise BearcnnError(self.explain(name))
        return self._rows[name]

    def explain(self, name: object) -> str:
        """Say that there is no such row, which ones there are, and which one was probably meant."""
        return explain_choice(self.what, name, self._rows)


def explain_choice(what: str, name: object, names: Iterable[str]) -> str:
    """Say that `name` is none of the names, which ones there are, and which one was probably meant."""
    names = list(names)
    return f"there is no {what} {name!r}: expected {one_of(names)}{nearest_hint(name, names)}"


def one_of(names: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def nearest_hint(name: object, names: Iterable[str]) -> str:
    """Return "; did you mean a?" where one of the names is like the one that was given, else nothing."""
    near = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def load(target: Any) -> Any:
    """Import the object that a row names as "package.module:name"; return anything else unchanged."""
    return resolve_name(target) if isinstance(target, str) else target
