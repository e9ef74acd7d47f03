"""Optional packages, loaded when something that the user asked for needs them."""

from importlib import import_module
from types import ModuleType

from bearcnn.errors import MissingPackageError


def load_optional(package: str, message: str) -> ModuleType:
    """Import a package that `pip install bearcnn` does not bring.

    Raises:
        MissingPackageError: the package isn't installed; its text is `message`.
    """
    try:
        return import_module(package)
    except ImportError:
        raise MissingPackageError(message) from None
