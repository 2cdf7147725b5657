"""Parts of a job that live elsewhere, and may change while it runs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasVersion(Protocol):
    """A target or generator that is not fixed by its options: it says which version of it a job has begun with."""

    @property
    def version(self) -> str:
        """Changes whenever it may answer otherwise."""
        ...


def version_of(part: Any) -> str:
    """Version of a target or generator, or of the one that it wraps; empty where its options say all."""
    while part is not None:
        if isinstance(part, HasVersion):
            return str(part.version)
        part = getattr(part, "target", None) or getattr(part, "generator", None)
    return ""
