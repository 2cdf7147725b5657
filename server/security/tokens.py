"""Bearer tokens: shown once when created, stored as digests."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..storage.database import Database
from ..storage.tables import access_tokens
from .principal import SCOPES, Principal

_FORM = re.compile(r"actmax_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_OWNER = re.compile(r"[A-Za-z0-9@._-]{1,100}")
_NOBODY = bytes(32)


@dataclass(frozen=True)
class TokenRecord:
    """A token without its secret; times in microseconds since 1970 (UTC), ``expire_time`` 0 for never."""

    id: str
    owner: str
    scopes: tuple[str, ...]
    create_time: int
    expire_time: int


class Tokens:
    """The tokens of a database.

    A token is ``actmax_``, a public identifier and 256 random bits. Only the SHA-256 of the random bits is stored: they can't be guessed,
    so a slow hash would only cost time in each call.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owner: str, scopes: Sequence[str], seconds: float = 0.0) -> tuple[TokenRecord, str]:
        """Create a token and return its record and its text, which is not stored.

        Parameters
        ----------
        owner : str
            1 to 100 letters, digits, ``@``, ``.``, ``_`` and ``-``.
        scopes : sequence of str
            One or more of "read", "submit" and "admin".
        seconds : float
            Seconds until the token expires; 0 for never.

        Raises
        ------
        ValueError
            The owner's name or a scope is invalid.
        """
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"{owner!r} is no owner's name: 1 to 100 letters, digits, '@', '.', '_' and '-' work")
        if not scopes or set(scopes) - set(SCOPES):
            raise ValueError(f"the scopes of a token are some of {', '.join(SCOPES)}")
        now = time.time_ns() // 1000
        record = TokenRecord(
            secrets.token_hex(8), owner, tuple(s for s in SCOPES if s in scopes), now, now + round(seconds * 1e6) if seconds else 0
        )
        secret = secrets.token_urlsafe(32)
        row = {"id": record.id, "owner": owner, "digest": _digest(secret), "scopes": " ".join(record.scopes)}
        with self._database.write() as connection:
            connection.execute(access_tokens.insert().values(row | {"create_time": now, "expire_time": record.expire_time}))
        return record, f"actmax_{record.id}_{secret}"

    def all(self) -> list[TokenRecord]:
        """Return all tokens, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(access_tokens.select().order_by(access_tokens.c.create_time))
            return [TokenRecord(row.id, row.owner, tuple(row.scopes.split()), row.create_time, row.expire_time) for row in rows]

    def revoke(self, token_id: str) -> bool:
        """Delete a token and return whether it existed."""
        with self._database.write() as connection:
            return connection.execute(access_tokens.delete().where(access_tokens.c.id == token_id)).rowcount == 1

    def find(self, text: str) -> Principal | None:
        """Return the caller that a token identifies; None for one that is unknown or has expired."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        with self._database.read() as connection:
            row = connection.execute(access_tokens.select().where(access_tokens.c.id == match[1])).first()
        # Compared in constant time, also if there is no such token.
        same = hmac.compare_digest(row.digest if row is not None else _NOBODY, _digest(match[2]))
        if row is None or not same or (row.expire_time and row.expire_time <= time.time_ns() // 1000):
            return None
        return Principal(row.owner, frozenset(row.scopes.split()))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
