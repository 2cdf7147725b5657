"""Versions of a job's parts that run elsewhere and may change during the job."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasVersion(Protocol):
    """A target or generator that its options don't determine: it reports the version that a job has begun with."""

    @property
    def version(self) -> str:
        """A text that changes whenever responses or stimuli may change."""
        ...


def version_of(part: Any) -> str:
    """Return the version of a target or generator, or of the one that it wraps; empty where its options determine it."""
    while part is not None:
        if isinstance(part, HasVersion):
            return str(part.version)
        part = getattr(part, "target", None) or getattr(part, "generator", None)
    return ""
