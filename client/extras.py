"""Which packages are installed, and imports of those that only some exports and rigs need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from ..wire.errors import ActmaxError


class NotInstalled(ActmaxError):
    """A package that the light install leaves out is missing."""

    code = "NOT_INSTALLED"


def installed_version(package: str) -> str:
    """Return the version of an installed package; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Run imports that ``actmax[extra]`` installs.

    Raises
    ------
    NotInstalled
        A package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotInstalled(f"this needs the package {error.name}: pip install 'actmax[{extra}]'") from None
