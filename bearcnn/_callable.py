"""Packages that can be called: `bearcnn.export(...)` runs a function, and `bearcnn.export.run` is still a module."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package whose call runs one of its functions, imported at the first call."""

    _function: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self._function.partition(":")
        return getattr(import_module(module), name)(*arguments, **options)


def make_callable(package: str, function: str) -> None:
    """Make a package callable while it is imported; a call runs its function "package.module:name".

    A module gets `__call__` from its class (Python's data model: "customizing module attribute access").
    """
    module = sys.modules[package]
    module.__class__ = _CallablePackage
    setattr(module, "_function", function)  # noqa: B010 - mypy still sees a plain module
