"""Runs queued jobs, each in a worker process."""

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
    """Runs one thread per worker; each thread claims the next job and follows its process.

    Parameters
    ----------
    context : ExecutionContext
        What all attempts of the server share.
    tracer : opentelemetry.trace.Tracer or None
        Records a span for each attempt; None for no spans.
    relay : callable
        Returns the address of the relay to the plugins of an owner, given by name; empty for none.
    """

    def __init__(self, context: ExecutionContext, tracer: Any = None, *, relay: Callable[[str], str] = lambda owner: "") -> None:
        self.holder = secrets.token_hex(8)
        """The server's identifier in its jobs' records; replaced after other servers took this one for dead."""
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
        """Start the threads."""
        if self.standby is not None:
            self.standby.prepare()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Wake idle threads, as a job may be waiting."""
        with self._changed:
            self._changed.notify_all()

    def unmet(self, spec: job_pb2.JobSpec) -> list[Unmet]:
        """Return the job's resource requests that no machine here can satisfy."""
        return self._launcher.unmet(spec)

    def told(self, job: JobRecord) -> None:
        """Pass a client's cancellation or suspension to the job's worker, if the worker belongs to this server."""
        with self._changed:
            attempt = self._attempts.get(job.id)
        if attempt is None or attempt.job.attempt != job.attempt:
            return
        if job.state == states.CANCELLING:
            attempt.cancel()
        elif job.suspending:
            attempt.pause()

    def refresh(self, read: Callable[[], list[JobRecord]]) -> None:
        """Compare the attempts of this server with the store: pass on requests of clients, and kill workers that lost their turn.

        Parameters
        ----------
        read : callable
            Returns the jobs that this server holds according to the store.
        """
        with self._changed:
            before = dict(self._attempts)
        held = read()  # after the copy: a job that is claimed in between must not count as lost
        for job in held:
            self.told(job)
        turns = {(job.id, job.attempt) for job in held}
        for attempt in before.values():
            if (attempt.job.id, attempt.job.attempt) not in turns and attempt.pid:
                attempt.fence()

    def taken_for_dead(self) -> None:
        """Kill all workers and take another identifier, since another server has taken over this one's jobs."""
        with self._changed:
            self.holder = secrets.token_hex(8)
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.fence()

    def stop(self, seconds: float) -> None:
        """Request checkpoints of all workers, and kill the workers that still run after ``seconds``."""
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
        """Return the identifiers of running jobs, each with its process id."""
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
                    # The job may wait for its next attempt while every other thread sleeps.
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
                # The timeout retries a claim that failed, on a full disk for example, and finds changes of other servers.
                self._changed.wait(self._config.poll_seconds)
