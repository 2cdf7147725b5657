"""Who a call comes from."""

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
        The name that what they create belongs to.
    scopes : frozenset of str
        "read" their own jobs, "submit" (and change) them, "admin": the same for everyone's.
    """

    owner: str
    scopes: frozenset[str]

    @property
    def sees(self) -> str | None:
        """Whose jobs they may see; None for everyone's."""
        return None if ADMIN in self.scopes else self.owner


ANYBODY = Principal("", frozenset(SCOPES))
"""Every caller of a server without credentials."""

current_principal: ContextVar[Principal] = ContextVar("current_principal", default=ANYBODY)
"""The caller of the call that is being answered."""
