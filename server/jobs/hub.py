"""Wakes watchers when a job changes; each watcher then reads the changes from the store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Hub:
    """Signals by job. ``changed`` and ``watched`` may be called from any thread, the other methods belong to ``loop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._signals: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False

    def changed(self, job_id: str) -> None:
        """Wake the job's watchers."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_id)

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change of the job."""
        signal = asyncio.Event()
        self._signals[job_id].add(signal)
        try:
            yield signal
        finally:
            self._signals[job_id].discard(signal)
            if not self._signals[job_id]:
                del self._signals[job_id]

    def watched(self) -> list[str]:
        """Return the identifiers of jobs that have watchers; may be called from any thread."""
        return list(self._signals.copy())

    def close(self) -> None:
        """Mark the hub as closed and wake every watcher, which then ends its watch."""
        self.closed = True
        for job_id in list(self._signals):
            self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for signal in self._signals.get(job_id, ()):
            signal.set()
