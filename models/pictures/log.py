"""A log of the pictures that are read while a job's parts are made, for its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .folder import FolderReading


@dataclass(frozen=True)
class PictureReading:
    """A picture that left a choice: the ``option`` with it, its ``name``, and the decisions."""

    option: str
    name: str
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the reading as plain data."""
        remarks = [{"what": remark, "count": 1, "names": [self.name]} for remark in self.remarks]
        return {"option": self.option, "source": self.name, "account": self.account(), "used": 1, "remarks": remarks}

    def account(self) -> str:
        """Return the decisions as text."""
        return f"{self.name} ({'; '.join(self.remarks)})"


Reading = FolderReading | PictureReading
_LOG: ContextVar[list[Reading] | None] = ContextVar("pictures", default=None)


@contextmanager
def readings() -> Iterator[list[Reading]]:
    """Collect the readings of pictures inside the block, in order; the context's value is their list."""
    found: list[Reading] = []
    token = _LOG.set(found)
    try:
        yield found
    finally:
        _LOG.reset(token)


def note(reading: Reading) -> None:
    """Add a reading to the open block of :func:`readings`, if there is one."""
    log = _LOG.get()
    if log is not None and reading not in log:
        log.append(reading)
