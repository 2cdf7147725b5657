"""Imports of packages that only some exports and rigs need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..wire.errors import ActmaxError


class NotInstalled(ActmaxError):
    """A package that the light install leaves out is missing."""

    code = "NOT_INSTALLED"


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
