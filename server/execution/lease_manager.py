"""Coordinates servers on one store: beats, takes over jobs of dead servers, follows other servers' changes, removes files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from ..config import ServerConfig
from ..jobs.hub import Hub
from ..jobs.lifecycle import Lifecycle
from ..storage.folders import JobFiles
from ..storage.records import JobRecord
from ..storage.store import JobStore
from .executor import Executor

_log = logging.getLogger(__name__)
_SWEEP_SECONDS = 5.0
_LOST = "its server had gone away"


class LeaseManager:
    """A thread beside the executor.

    A server shows that it is alive by raising its beat in the store. A server whose beat has stood still for ``lease_seconds``, by the
    observer's clock, is taken for dead: its jobs return to the queue, and its later writes are fenced off by their attempt's number.
    Clocks of two machines are never compared, so a clock that jumps changes nothing.

    Parameters
    ----------
    config, store, lifecycle, files, executor, hub
        The server's settings, store, lifecycle, job files, executor and hub.
    address : str
        This server's address, for other servers on the store. Empty if the store is not shared: then all jobs that are held at the start
        belong to dead servers.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: JobStore,
        lifecycle: Lifecycle,
        files: JobFiles,
        executor: Executor,
        hub: Hub,
        address: str = "",
    ) -> None:
        self._config = config
        self._store = store
        self._lifecycle = lifecycle
        self._files = files
        self._executor = executor
        self._hub = hub
        self._address = address
        self._stopping = threading.Event()
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked = time.monotonic()
        self._sequences: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="steward", daemon=True)

    def start(self) -> None:
        """Register this server, take over the jobs of servers known to be dead, and start the thread.

        Raises
        ------
        StorageFull, StorageGone
            The store can't be used.
        """
        if self._address:
            self._store.beat(self._executor.holder, self._address, first=True)
            self._look_around()
        else:
            for server in self._store.beats():
                self._store.dismiss(server)
            self._take_over(self._store.held())
        self._thread.start()

    def stop(self) -> None:
        """End the thread and remove the registration; called after all jobs of this server were released."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)
        if self._address:
            try:
                self._store.dismiss(self._executor.holder)
            except OSError:
                _log.exception("this server's registration stays behind; others notice")

    def _run(self) -> None:
        beaten = swept = time.monotonic()
        while not self._stopping.wait(self._config.poll_seconds if self._address else _SWEEP_SECONDS):
            try:
                if self._address:
                    if time.monotonic() >= beaten + self._config.lease_seconds / 4:
                        self._beat()
                        beaten = time.monotonic()
                        self._look_around()
                    self._executor.refresh(lambda: self._store.held([self._executor.holder]))
                    self._wake_watchers()
                if time.monotonic() >= swept + _SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._sweep()
            except Exception:
                _log.exception("the store can't be read or written; trying again")

    def _beat(self) -> None:
        if not self._store.beat(self._executor.holder, self._address):
            _log.warning("this server was taken for dead; its workers are ended, and it goes on under another name")
            self._executor.taken_for_dead()
            self._store.beat(self._executor.holder, self._address, first=True)

    def _look_around(self) -> None:
        beats = dict(self._store.beats())
        held = self._store.held()
        for job in held:
            beats.setdefault(job.holder, -1)  # a server without a row, taken for dead, that has claimed a job since
        beats.pop(self._executor.holder, None)
        now = time.monotonic()
        if now > self._looked + self._config.lease_seconds / 2:
            self._seen.clear()  # while this server could not read the store, the others may have been unable to raise their beats
        self._looked = now
        self._seen = {server: self._seen.get(server, (beat, now)) for server, beat in beats.items()}
        for server, beat in beats.items():
            if beat != self._seen[server][0]:
                self._seen[server] = (beat, now)
            elif now - self._seen[server][1] > self._config.lease_seconds:
                self._take_over([job for job in held if job.holder == server])
                self._store.dismiss(server)
                del self._seen[server]

    def _take_over(self, jobs: Sequence[JobRecord]) -> None:
        """Return jobs of dead servers to the queue: all of them before any starts, so that a job that kills servers isn't always first."""
        for job in jobs:
            left = self._lifecycle.orphaned(job, _LOST, self._config.max_server_deaths)
            if left is not None and left.error_message:
                _log.error("jobs/%s failed: %s", left.id, left.error_message)
            elif left is not None:
                _log.info("jobs/%s is taken up again", left.id)
        if jobs:
            self._executor.wake()

    def _wake_watchers(self) -> None:
        watched = self._hub.watched()
        now = dict(self._store.sequences(watched)) if watched else {}
        for job_id in watched:
            if now.get(job_id, -1) != self._sequences.get(job_id):
                self._hub.changed(job_id)
        self._sequences = {job_id: now.get(job_id, -1) for job_id in watched}

    def _sweep(self) -> None:
        for job_id in self._store.garbage():
            try:
                self._files.remove(job_id)
            except OSError:
                _log.exception("the files of the deleted jobs/%s can't be removed yet", job_id)
            else:
                self._store.collected(job_id)
