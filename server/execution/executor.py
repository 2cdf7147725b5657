"""Runs queued jobs, some at a time, each in a spawned process."""

from __future__ import annotations

import logging
import threading
import time

from ..config import ServerConfig
from ..jobs.lifecycle import Lifecycle
from ..storage.folders import JobFolders
from .attempt import Attempt
from .engine import Engine

_log = logging.getLogger(__name__)


class Executor:
    """As many threads as workers; each takes the job that has waited longest and watches over its process.

    Parameters
    ----------
    config, lifecycle, folders
        The server's.
    engine : Engine
        What the processes run.
    """

    def __init__(self, config: ServerConfig, lifecycle: Lifecycle, folders: JobFolders, engine: Engine) -> None:
        self._config = config
        self._lifecycle = lifecycle
        self._folders = folders
        self._engine = engine
        self._changed = threading.Condition()
        self._attempts: dict[str, Attempt] = {}
        self._stopping = False
        self._threads = [threading.Thread(target=self._serve, name=f"worker-{n}", daemon=True) for n in range(config.workers)]

    def start(self) -> None:
        """Begin to take jobs."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """A job may be waiting."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, job_id: str) -> None:
        """Tell the job's worker, where it has one, to end it."""
        with self._changed:
            attempt = self._attempts.get(job_id)
        if attempt is not None:
            attempt.cancel()

    def stop(self, seconds: float) -> None:
        """Have workers write their checkpoints; whoever is still there after ``seconds`` is killed."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.suspend()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        for attempt in attempts:
            attempt.kill()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(5.0)

    def processes(self) -> dict[str, int]:
        """Identifiers of running jobs, each with the number of its process."""
        with self._changed:
            return {job_id: attempt.pid for job_id, attempt in self._attempts.items() if attempt.pid}

    def _serve(self) -> None:
        while (attempt := self._next()) is not None:
            try:
                attempt.run()
            except Exception as error:
                _log.exception("jobs/%s: its attempt broke", attempt.job.id)
                attempt.broke(error)
            finally:
                with self._changed:
                    self._attempts.pop(attempt.job.id, None)
                    # It may be waiting for its next attempt, and every other thread asleep.
                    self._changed.notify_all()

    def _next(self) -> Attempt | None:
        while True:
            with self._changed:
                if self._stopping:
                    return None
                try:
                    job = self._lifecycle.claim(list(self._attempts))
                except Exception:
                    _log.exception("the queue can't be read or written; trying again")
                    job = None
                if job is not None:
                    attempt = Attempt(self._config, self._lifecycle, self._folders, self._engine, job)
                    self._attempts[job.id] = attempt
                    return attempt
                # A claim that failed, on a full disk say, is tried again without being woken.
                self._changed.wait(5.0)
