"""Packages that an installation for predictions alone lacks (requirements-edge.txt)."""

from importlib.util import find_spec

from bearcnn.errors import MissingPackageError


def require(package: str) -> None:
    """Check that a package is installed before work that would be lost without it.

    Raises:
        MissingPackageError: it is not.
    """
    if find_spec(package) is None:
        raise MissingPackageError(explain_missing(package))


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Return the package that an import failed for, or None if a module of an installed one is missing: a bug."""
    package = (error.name or "bearcnn").partition(".")[0]
    return package if package != "bearcnn" and find_spec(package) is None else None


def explain_missing(package: str) -> str:
    """Say how to install everything."""
    return f"this needs {package}, which is not installed here; all that bearcnn needs: pip install bearcnn"
