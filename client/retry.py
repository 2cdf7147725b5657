"""How long a client tries again, and after which pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass

import grpc

from .errors import retry_after, status_of


@dataclass(frozen=True)
class Patience:
    """Pauses grow from ``first`` seconds by a factor of two up to ``most``, until ``seconds`` have gone without a success."""

    seconds: float
    first: float = 0.1
    most: float = 5.0


class Pauses:
    """The pauses of one call; :meth:`reset` after each sign of life."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        # Clients that lost the same server should not come back in step.
        self._random = random.Random()
        self.reset()

    def reset(self) -> None:
        """Begin again: the other side lives."""
        self._pause = self._patience.first
        self._since: float | None = None

    def next(self, wanted: float = 0.0) -> float | None:
        """Seconds to wait before trying again, at least ``wanted`` of them, or None when patience has run out."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._patience.seconds - now
        if left <= 0 or wanted > left:
            return None
        pause = max(wanted, self._pause * self._random.uniform(0.7, 1.0))
        self._pause = min(2 * self._pause, self._patience.most)
        return min(pause, left)


_GONE = frozenset({grpc.StatusCode.UNAVAILABLE})


def pause_after(error: grpc.RpcError, pauses: Pauses, codes: Collection[grpc.StatusCode] = _GONE) -> float | None:
    """Seconds to wait before a call that failed is made again; None where that would not help, or patience has run out.

    Besides ``codes``, it helps where something has run out for a while and the server says for how long (RESOURCE_EXHAUSTED with
    RetryInfo: too many calls a second, say); that long is waited.
    """
    code, wanted = status_of(error), retry_after(error)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wanted:
        return pauses.next(wanted)
    return pauses.next() if code in codes else None
