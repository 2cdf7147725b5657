"""Authentication and authorization of calls."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence

import grpc

from ..errors import ServiceError, unreachable
from ..storage.store import StorageGone
from .principal import ADMIN, ANYBODY, READ, SUBMIT, Principal
from .tokens import Tokens

_REMEMBERED_SECONDS = 5.0
_REMEMBERED = 1000
# Methods that change nothing and cost little; every other method of actmax needs the scope "submit".
_READING = frozenset({"GetJob", "ListJobs", "WatchJob", "ListArtifacts", "DownloadArtifact", "ListComponents", "GetLimits"})
_READING |= {"GetSession", "ListSessions", "ListTrials", "ListPlugins"}
PUBLIC = "/grpc.health."
"""Prefix of the methods that need no credentials."""


class Access:
    """Identifies the caller of each call, and refuses callers without the scope that the method needs.

    Parameters
    ----------
    certificates : bool
        Whether callers have shown a certificate; without tokens, its common name identifies the caller.
    """

    def __init__(self, *, certificates: bool) -> None:
        self._certificates = certificates
        self._tokens: Tokens | None = None
        self._known: dict[bytes, tuple[float, Principal]] = {}

    def ask_for(self, tokens: Tokens) -> None:
        """Require a token from ``tokens`` of every later call."""
        self._tokens = tokens

    async def principal(self, method: str, metadata: Sequence[tuple[str, str | bytes]], peer: Mapping[str, Iterable[bytes]]) -> Principal:
        """Return the caller of ``method``.

        Parameters
        ----------
        method : str
            Full name, such as ``/actmax.v1.JobService/GetJob``.
        metadata : sequence of (str, str or bytes)
            The call's metadata, with ``authorization`` if the caller has a token.
        peer : mapping of str to iterable of bytes
            The call's authentication context, with the certificate's ``x509_common_name``.

        Raises
        ------
        ServiceError
            UNAUTHENTICATED: the caller can't be identified; PERMISSION_DENIED: the caller lacks the scope; UNAVAILABLE: the store of
            tokens can't be reached.
        """
        if method.startswith(PUBLIC):
            return ANYBODY
        caller = await self._identify(metadata, peer)
        needed = READ if method.rpartition("/")[2] in _READING or not method.startswith("/actmax.") else SUBMIT
        # A caller who may submit jobs may read their results.
        if not caller.scopes & ({READ, SUBMIT, ADMIN} if needed == READ else {SUBMIT, ADMIN}):
            what = f"this call needs the scope {needed!r}; yours are: {', '.join(sorted(caller.scopes)) or 'none'}"
            raise ServiceError(grpc.StatusCode.PERMISSION_DENIED, what, reason="MISSING_SCOPE", metadata={"scope": needed})
        return caller

    async def _identify(self, metadata: Sequence[tuple[str, str | bytes]], peer: Mapping[str, Iterable[bytes]]) -> Principal:
        if self._tokens is None:
            if not self._certificates:
                return ANYBODY
            names = list(peer.get("x509_common_name") or ())
            if not names or not names[0]:
                raise _unknown("the certificate has no common name to know its owner by", "NO_COMMON_NAME")
            return Principal(names[0].decode("utf-8", "replace")[:200], frozenset({READ, SUBMIT}))
        texts = [value for key, value in metadata if key == "authorization"]
        if len(texts) != 1 or not isinstance(texts[0], str) or not texts[0].lower().startswith("bearer "):
            raise _unknown("this server asks for a token: 'authorization: Bearer actmax_…', which its operator makes", "NO_TOKEN")
        text = texts[0][7:].strip()
        key, now = hashlib.sha256(text.encode()).digest(), time.monotonic()
        remembered = self._known.get(key)
        if remembered is not None and remembered[0] > now:
            return remembered[1]
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, self._tokens.find, text)
        except StorageGone as error:
            raise unreachable(error) from error
        if found is None:
            self._known.pop(key, None)
            raise _unknown("this token is not known, has ended or was revoked", "BAD_TOKEN")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = (now + _REMEMBERED_SECONDS, found)
        return found


def _unknown(what: str, reason: str) -> ServiceError:
    return ServiceError(grpc.StatusCode.UNAUTHENTICATED, what, reason=reason)
