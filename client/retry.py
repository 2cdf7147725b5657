"""How long a client tries again, and after which pauses."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass


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

    def next(self) -> float | None:
        """Seconds to wait before trying again, or None when patience has run out."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._patience.seconds - now
        if left <= 0:
            return None
        pause = self._pause * self._random.uniform(0.7, 1.0)
        self._pause = min(2 * self._pause, self._patience.most)
        return min(pause, left)
