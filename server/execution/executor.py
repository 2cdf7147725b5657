"""Runs queued jobs, some at a time, each in a spawned process."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from actmax.v1 import job_pb2

from ..jobs import states
from ..storage.records import JobRecord
from .attempt import Attempt, ExecutionContext
from .launching import Local
from .resources import Unmet
from .warm_worker import WarmWorker

_log = logging.getLogger(__name__)


class Executor:
    """As many threads as workers; each takes the job whose turn it is and watches over its process.

    Parameters
    ----------
    context : ExecutionContext
        The server's.
    tracer
        Told of attempts; no spans where it is None.
    relay : callable
        Gives the address of the relay to the plugins of the owner of that name, empty for none.
    """

    def __init__(self, context: ExecutionContext, tracer: Any = None, *, relay: Callable[[str], str] = lambda owner: "") -> None:
        self.holder = secrets.token_hex(8)
        """What the jobs that this server has are marked with; another one after it was taken for dead."""
        self._context = context
        self._config = config = context.config
        self._lifecycle = context.lifecycle
        self._metrics = context.metrics
        self._tracer = tracer
        self._launcher = context.launcher
        self.standby = WarmWorker(config, context.engine) if config.standby and isinstance(self._launcher, Local) else None
        self._relay = relay
        self._changed = threading.Condition()
        self._attempts: dict[str, Attempt] = {}
        self._stopping = False
        self._threads = [threading.Thread(target=self._serve, args=(n,), name=f"worker-{n}", daemon=True) for n in range(config.workers)]

    def start(self) -> None:
        """Begin to take jobs."""
        if self.standby is not None:
            self.standby.prepare()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """A job may be waiting."""
        with self._changed:
            self._changed.notify_all()

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """What the job asks of machines and will never get here."""
        return self._launcher.unmet(spec)

    def told(self, job: JobRecord) -> None:
        """Pass what a client has asked of a job on to its worker, where that is here."""
        with self._changed:
            attempt = self._attempts.get(job.id)
        if attempt is None or attempt.job.attempt != job.attempt:
            return
        if job.state == states.CANCELLING:
            attempt.cancel()
        elif job.suspending:
            attempt.pause()

    def refresh(self, read: Callable[[], list[JobRecord]]) -> None:
        """Read which jobs the store says are held here: pass on what was asked, end workers whose job has gone elsewhere."""
        with self._changed:
            before = dict(self._attempts)
        held = read()  # after: what is claimed in between is no attempt that has lost its turn
        for job in held:
            self.told(job)
        turns = {(job.id, job.attempt) for job in held}
        for attempt in before.values():
            if (attempt.job.id, attempt.job.attempt) not in turns and attempt.pid:
                attempt.fence()

    def taken_for_dead(self) -> None:
        """Another server has this one's jobs: end all workers, and go on under another name."""
        with self._changed:
            self.holder = secrets.token_hex(8)
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.fence()

    def stop(self, seconds: float) -> None:
        """Have workers write their checkpoints; whoever is still there after ``seconds`` is killed."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            attempts = list(self._attempts.values())
        if self.standby is not None:
            self.standby.close()
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

    def _serve(self, number: int) -> None:
        devices = self._config.devices
        device = devices[number % len(devices)] if devices else ""
        while (attempt := self._next(device)) is not None:
            self._metrics.workers.inc()
            try:
                with self._span(attempt.job):
                    attempt.run()
            except Exception as error:
                _log.exception("jobs/%s: its attempt broke", attempt.job.id)
                attempt.broke(error)
            finally:
                self._metrics.workers.dec()
                with self._changed:
                    self._attempts.pop(attempt.job.id, None)
                    # It may be waiting for its next attempt, and every other thread asleep.
                    self._changed.notify_all()

    def _span(self, job: JobRecord) -> AbstractContextManager[Any]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.start_as_current_span("attempt", attributes={"actmax.job": f"jobs/{job.id}", "actmax.attempt": job.attempt})

    def _next(self, device: str) -> Attempt | None:
        while True:
            ready = self._launcher.ready()
            with self._changed:
                if self._stopping:
                    return None
                job = None
                try:
                    if ready:
                        job = self._lifecycle.claim(self.holder, list(self._attempts), self._config.max_running_per_owner)
                except Exception:
                    _log.exception("the queue can't be read or written; trying again")
                if job is not None:
                    attempt = Attempt(self._context, job, device, self._relay(job.owner), self.standby)
                    self._attempts[job.id] = attempt
                    return attempt
                # A claim that failed, on a full disk say, is tried again without being woken; so is one after another server's change.
                self._changed.wait(self._config.poll_seconds)
