"""Every change of a job, in one place: the store is written, then whoever watches is told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from actmax.v1 import job_pb2, job_service_pb2

from ..storage.records import ArtifactRecord, Change, JobRecord, NewJob
from ..storage.store import JobStore
from . import states


class Lifecycle:
    """Moves jobs from state to state. Methods may be called from any thread.

    Parameters
    ----------
    store : JobStore
        Where they are kept.
    changed : callable
        Called with a job's identifier after each change of it, in the thread that made the change.
    """

    def __init__(self, store: JobStore, changed: Callable[[str], None]) -> None:
        self._store = store
        self._changed = changed

    def create(self, spec: job_pb2.JobSpec, total_evaluations: int, request_id: str) -> tuple[JobRecord, bool]:
        """Queue a job; or return the one that ``request_id`` created, and False."""
        job = NewJob(
            id=secrets.token_hex(8),
            spec=spec.SerializeToString(deterministic=True),
            state=states.PENDING,
            progress=job_pb2.Progress(total_evaluations=total_evaluations).SerializeToString(),
            first_event=_payload(states.PENDING, ""),
            create_time=now(),
            request_id=request_id,
        )
        record, created = self._store.create(job)
        if created:
            self._changed(record.id)
        return record, created

    def recover(self) -> list[JobRecord]:
        """Put what a dead server was running back in the queue."""
        found = self._store.page(states=[states.RUNNING], limit=1_000_000)
        message = "the server had gone away; the job goes on from its last checkpoint"
        return [job for job in (self._move(old.id, states.PENDING, message) for old in found) if job is not None]

    def claim(self, active: Sequence[str]) -> JobRecord | None:
        """Start an attempt at the job that has waited longest and isn't ``active``."""
        while True:
            job = self._store.oldest(states.WAITING, excluding=active)
            if job is None:
                return None
            to = states.CANCELLING if job.state == states.CANCELLING else states.RUNNING
            started = self._move(job.id, to, f"attempt {job.attempt + 1}", only=job.state, attempt=job.attempt, starts=True)
            if started is not None:
                return started

    def progress(self, job: JobRecord, progress: bytes) -> bool:
        """Keep the attempt's progress; False where it is no longer its turn."""
        kept = self._store.add_progress(job.id, job.attempt, states.ACTIVE, progress, now())
        if kept:
            self._changed(job.id)
        return kept

    def succeeded(self, job: JobRecord, artifacts: Sequence[ArtifactRecord]) -> JobRecord | None:
        """The attempt reached the job's end."""
        return self._move(job.id, states.SUCCEEDED, "", attempt=job.attempt, artifacts=tuple(artifacts))

    def cancelled(self, job: JobRecord, message: str, artifacts: Sequence[ArtifactRecord] = ()) -> JobRecord | None:
        """The attempt ended because it was asked to."""
        return self._move(job.id, states.CANCELLED, message, attempt=job.attempt, artifacts=tuple(artifacts))

    def failed(self, job: JobRecord, code: str, message: str) -> JobRecord | None:
        """The attempt can't be finished by trying again."""
        return self._move(job.id, states.FAILED, message, attempt=job.attempt, error_code=code)

    def returned(self, job: JobRecord, message: str, *, crashed: bool = False) -> JobRecord | None:
        """The attempt stopped short of the end, and another one is to go on from its checkpoint."""
        for to in (states.PENDING, states.CANCELLING):  # RUNNING goes to PENDING, CANCELLING stays
            moved = self._move(job.id, to, message, attempt=job.attempt, crashed=crashed, only=None if to == states.PENDING else to)
            if moved is not None:
                return moved
        return None

    def cancel(self, job_id: str) -> JobRecord | None:
        """Ask for a job's end: at once where no worker has it; None where it has ended or is unknown."""
        while True:
            job = self._store.get(job_id)
            if job is None or job.state in states.ENDED:
                return None
            if job.state == states.CANCELLING:
                return job
            # A job back in the queue has findings in its checkpoint: a worker takes it up once more to write them.
            to = states.CANCELLED if job.state == states.PENDING and job.attempt == 0 else states.CANCELLING
            moved = self._move(job.id, to, "cancelled by a client", only=job.state, attempt=job.attempt)
            if moved is not None:
                return moved

    def _move(
        self,
        job_id: str,
        to: job_pb2.JobState,
        message: str,
        *,
        only: int | None = None,
        attempt: int | None = None,
        starts: bool = False,
        crashed: bool = False,
        error_code: str = "",
        artifacts: tuple[ArtifactRecord, ...] = (),
    ) -> JobRecord | None:
        allowed = states.sources(to)
        change = Change(
            to=to,
            allowed=allowed if only is None else allowed & {only},
            payload=_payload(to, message),
            time=now(),
            attempt=attempt,
            starts=starts,
            ends=to in states.ENDED,
            crashed=crashed,
            error_code=error_code,
            error_message=message if error_code else "",
            artifacts=artifacts,
        )
        moved = self._store.change(job_id, change)
        if moved is not None:
            self._changed(job_id)
        return moved


def now() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


def _payload(state: job_pb2.JobState, message: str) -> bytes:
    return job_service_pb2.StateChange(state=state, message=message).SerializeToString()
