"""What was read of pictures while a job's parts were made, so that its result can say it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .folder import FolderReading


@dataclass(frozen=True)
class PictureReading:
    """A picture that left a choice: the ``option`` that named it, its ``name``, and what was decided."""

    option: str
    name: str
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        remarks = [{"what": remark, "count": 1, "names": [self.name]} for remark in self.remarks]
        return {"option": self.option, "source": self.name, "account": self.account(), "used": 1, "remarks": remarks}

    def account(self) -> str:
        """Return in words what was decided."""
        return f"{self.name} ({'; '.join(self.remarks)})"


Reading = FolderReading | PictureReading
_LOG: ContextVar[list[Reading] | None] = ContextVar("pictures", default=None)


@contextmanager
def readings() -> Iterator[list[Reading]]:
    """Collect what is read of pictures inside the block, in the order of reading."""
    found: list[Reading] = []
    token = _LOG.set(found)
    try:
        yield found
    finally:
        _LOG.reset(token)


def note(reading: Reading) -> None:
    """Add a reading to the block of :func:`readings` that is open, if one is."""
    log = _LOG.get()
    if log is not None and reading not in log:
        log.append(reading)
