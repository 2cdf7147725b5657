"""Packages that only an export, or a kind of rig, needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..wire.errors import ActmaxError


class NotInstalled(ActmaxError):
    """Something needs packages that the light install leaves out."""

    code = "NOT_INSTALLED"


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports that ``actmax[extra]`` brings.

    Raises
    ------
    NotInstalled
        One of them is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotInstalled(f"this needs the package {error.name}: pip install 'actmax[{extra}]'") from None
