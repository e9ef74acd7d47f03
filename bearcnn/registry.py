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

    def register(self, row: Row) -> None:
        """Add a row.

        Raises:
            ValueError: there is a row of that name already.
        """
        if row.name in self._rows:
            raise ValueError(f"there is a {self.what} called {row.name} already")
        self._rows[row.name] = row

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
        """Describe an unknown name: there is no such row, the rows are these, and the nearest is this."""
        *others, last = self._rows
        known = f"{', '.join(others)} or {last}" if others else last
        near = difflib.get_close_matches(str(name), self._rows, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"there is no {self.what} {name!r}: expected {known}{hint}"


def load(target: Any) -> Any:
    """Import the object that a row names as "package.module:name"; return anything else unchanged."""
    return resolve_name(target) if isinstance(target, str) else target
