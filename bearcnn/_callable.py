"""Packages that can be called: `bearcnn.export(...)` is a function, `bearcnn.export.run` a module of the package."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package whose call is one of its functions, imported at the first call."""

    _function: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self._function.partition(":")
        return getattr(import_module(module), name)(*arguments, **options)


def make_callable(package: str, function: str) -> None:
    """Let a package that is being imported be called as its function "package.module:name".

    Python's way to give a module what only classes can have (the data model's "customizing module attribute access").
    """
    module = sys.modules[package]
    module.__class__ = _CallablePackage
    setattr(module, "_function", function)  # noqa: B010 - mypy still sees a plain module
