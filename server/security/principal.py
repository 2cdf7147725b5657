"""The caller of a call."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

READ, SUBMIT, ADMIN = "read", "submit", "admin"
SCOPES = (READ, SUBMIT, ADMIN)


@dataclass(frozen=True)
class Principal:
    """A caller.

    Attributes
    ----------
    owner : str
        The owner of what the caller creates.
    scopes : frozenset of str
        "read" their own jobs, "submit" (and change) them, "admin": both for every owner's jobs.
    """

    owner: str
    scopes: frozenset[str]

    @property
    def sees(self) -> str | None:
        """The owner whose jobs the caller may see; None for all owners."""
        return None if ADMIN in self.scopes else self.owner


ANYBODY = Principal("", frozenset(SCOPES))
"""Every caller of a server without credentials."""

current_principal: ContextVar[Principal] = ContextVar("current_principal", default=ANYBODY)
"""The caller of the present call."""
