"""Every change of a job, in one place: the store is written, then whoever watches is told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from actmax.v1 import job_pb2, job_service_pb2

from ..storage.records import ArtifactRecord, Change, JobRecord, NewJob, Quota
from ..storage.store import AnalysedJobGone, JobStore
from . import states


class StaleVersion(Exception):
    """The job has changed since the caller looked; ``job`` is how it stands."""

    def __init__(self, job: JobRecord) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass(frozen=True)
class Submission:
    """How a job is submitted.

    Attributes
    ----------
    owner : str
        Whose it is.
    priority : int
        Jobs with a higher one start first.
    labels : sequence of (str, str)
        Keys and values.
    quota : Quota
        What the owner may have.
    analysis_of : str
        The ``id`` of the ended job that it analyses; empty for others.
    """

    owner: str = ""
    priority: int = 0
    labels: Sequence[tuple[str, str]] = ()
    quota: Quota = Quota()  # noqa: RUF009 - frozen
    analysis_of: str = ""


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

    def create(
        self,
        spec: job_pb2.JobSpec,
        total_evaluations: int,
        request_id: str,
        submission: Submission = Submission(),
    ) -> tuple[JobRecord, bool]:
        """Queue a job; or return the one that ``request_id`` created, and False."""
        job = NewJob(
            id=secrets.token_hex(8),
            spec=spec.SerializeToString(deterministic=True),
            state=states.PENDING,
            progress=job_pb2.Progress(total_evaluations=total_evaluations).SerializeToString(),
            first_event=_payload(states.PENDING, ""),
            create_time=now(),
            request_id=request_id,
            owner=submission.owner,
            priority=submission.priority,
            labels=tuple(sorted(submission.labels)),
            quota=submission.quota,
            analysis_of=submission.analysis_of,
        )
        record, created = self._store.create(job)
        if created:
            self._changed(record.id)
        return record, created

    def claim(self, holder: str, excluding: Collection[str] = (), running: int = 0) -> JobRecord | None:
        """Start an attempt, on the server ``holder``, at the job whose turn it is; see ``JobStore.claim``."""

        def start(job: JobRecord) -> Change:
            to = states.CANCELLING if job.state == states.CANCELLING else states.RUNNING
            return _change(job, to, f"attempt {job.attempt + 1}", starts=True, holder=holder, suspending=False)

        claimed = self._store.claim(states.WAITING, start, excluding=excluding, running=running)
        if claimed is not None:
            self._changed(claimed.id)
        return claimed

    def analysed(self, job: JobRecord) -> JobRecord | None:
        """Return the job that ``job`` analyses as it stands; None where it was deleted."""
        return self._store.get(job.analysis_of)

    def has_turn(self, job: JobRecord) -> bool:
        """Return whether the attempt is the job's present one, and a server holds it."""
        now = self._store.get(job.id)
        return now is not None and now.attempt == job.attempt and bool(now.holder)

    def progress(self, job: JobRecord, progress: bytes) -> bool:
        """Keep the attempt's progress; False where it is no longer its turn."""
        kept = self._store.add_progress(job.id, job.attempt, states.ACTIVE, progress, now())
        if kept:
            self._changed(job.id)
        return kept

    def succeeded(self, job: JobRecord, artifacts: Sequence[ArtifactRecord]) -> JobRecord | None:
        """The attempt reached the job's end."""
        return self._end(job, states.SUCCEEDED, "", artifacts=tuple(artifacts))

    def cancelled(self, job: JobRecord, message: str, artifacts: Sequence[ArtifactRecord] = ()) -> JobRecord | None:
        """The attempt ended because it was asked to."""
        return self._end(job, states.CANCELLED, message, artifacts=tuple(artifacts))

    def failed(self, job: JobRecord, code: str, message: str) -> JobRecord | None:
        """The attempt can't be finished by trying again."""
        return self._end(job, states.FAILED, message, error_code=code, error_message=message)

    def returned(self, job: JobRecord, message: str) -> JobRecord | None:
        """The attempt stopped short of the end, and another one is to go on from its checkpoint."""
        return self._attempted(job, lambda old: self._back(old, message))

    def crashed(self, job: JobRecord, what: str, limit: int) -> JobRecord | None:
        """The attempt's worker died: the job is given up where ``limit`` of them died with it no further than before."""
        return self._attempted(job, lambda old: self._died(old, "crashes", what, limit))

    def orphaned(self, job: JobRecord, what: str, limit: int) -> JobRecord | None:
        """The attempt's server died: the same, counted apart, as a server dies of much that is no job's fault."""
        return self._attempted(job, lambda old: self._died(old, "deaths", what, limit))

    def _died(self, job: JobRecord, counted: str, what: str, limit: int) -> Change:
        reached = job_pb2.Progress.FromString(job.progress).evaluations
        count: dict[str, Any] = {"crashes": job.crashes, "deaths": job.deaths, "evaluations": max(reached, job.evaluations)}
        if reached > job.evaluations:
            count |= {"crashes": 0, "deaths": 0}
        count[counted] += 1
        times = count[counted]
        if times < limit:
            message = f"{what}; the job goes on from its last checkpoint (try {times + 1} of {limit})"
            return self._back(job, message, **count)
        message = f"{what}; that happened {_times(times)} with the job no further, so it is given up; ResumeJob tries again"
        return _change(job, states.FAILED, message, error_code="RESOURCE_EXHAUSTED", error_message=message, **_ENDS, **count)

    def cancel(self, job_id: str, version: int | None = None) -> JobRecord | None:
        """Ask for a job's end: at once where it never ran; None where it has ended or is unknown."""

        def decide(job: JobRecord) -> Change | JobRecord | None:
            if job.state in states.ENDED:
                return None
            if job.state == states.CANCELLING:
                return job
            # A job that ran before has findings in its checkpoint: a worker takes it up once more to write them.
            never_ran = job.attempt == 0 and job.state in (states.PENDING, states.SUSPENDED)
            to = states.CANCELLED if never_ran else states.CANCELLING
            return _change(job, to, "cancelled by a client", ends=to in states.ENDED, suspending=False)

        return self._decided(job_id, decide, version)

    def suspend(self, job_id: str, version: int | None = None) -> JobRecord | None:
        """Have a job wait at a checkpoint: at once where no worker has it; None where it is ending, has ended, or is unknown."""

        def decide(job: JobRecord) -> Change | JobRecord | None:
            if job.state == states.SUSPENDED or (job.state == states.RUNNING and job.suspending):
                return job
            if job.state == states.PENDING:
                return _change(job, states.SUSPENDED, "suspended by a client")
            if job.state == states.RUNNING:
                return _change(job, states.RUNNING, "to be suspended: its worker writes a checkpoint", suspending=True)
            return None

        return self._decided(job_id, decide, version)

    def resume(self, job_id: str, version: int | None = None) -> JobRecord | None:
        """Have a suspended or failed job go on; None where it is ending, has ended otherwise, or is unknown."""

        def decide(job: JobRecord) -> Change | JobRecord | None:
            if job.state in (states.SUSPENDED, states.FAILED):
                return _change(job, states.PENDING, "resumed by a client", crashes=0, deaths=0)
            if job.state == states.RUNNING and job.suspending:
                return _change(job, states.RUNNING, "not to be suspended after all", suspending=False)
            return job if job.state in (states.PENDING, states.RUNNING) else None

        return self._decided(job_id, decide, version)

    def delete(self, job_id: str, version: int | None = None) -> bool:
        """Forget a job that has ended, is suspended, or never ran; False where it is something else or unknown."""
        job = self._store.get(job_id)
        if job is None:
            return False
        if version is not None and job.version != version:
            raise StaleVersion(job)
        allowed = states.DELETABLE | {states.PENDING} if job.attempt == 0 else states.DELETABLE
        deleted = self._store.delete(job_id, allowed, job.version)
        if deleted:
            self._changed(job_id)
        return deleted

    def _end(self, job: JobRecord, to: job_pb2.JobState, message: str, **values: Any) -> JobRecord | None:
        try:
            ended = self._attempted(job, lambda old: _change(old, to, message, **_ENDS, **values))
        except AnalysedJobGone as gone:
            return self.failed(job, "FAILED_PRECONDITION", f"jobs/{gone} was deleted while it was analysed")
        if ended is not None and ended.analysis_of:
            self._changed(ended.analysis_of)
        return ended

    def _back(self, job: JobRecord, message: str, **values: Any) -> Change:
        to = states.PENDING
        if job.state == states.CANCELLING:
            to = states.CANCELLING
        elif job.suspending:
            to, message = states.SUSPENDED, f"suspended; {message}"
        return _change(job, to, message, holder="", suspending=False, **values)

    def _attempted(self, job: JobRecord, decide: Callable[[JobRecord], Change]) -> JobRecord | None:
        # Fenced: an attempt that is no longer the job's changes nothing.
        def decided(old: JobRecord) -> Change | None:
            change = decide(old)
            return change if old.attempt == job.attempt and old.state in change.allowed and old.state in states.ACTIVE else None

        return self._decided(job.id, decided)

    def _decided(
        self, job_id: str, decide: Callable[[JobRecord], Change | JobRecord | None], version: int | None = None
    ) -> JobRecord | None:
        """Read, decide, and write what was decided unless someone was faster; then again."""
        while True:
            job = self._store.get(job_id)
            if job is None:
                return None
            if version is not None and job.version != version:
                raise StaleVersion(job)
            change = decide(job)
            if not isinstance(change, Change):
                return change
            moved = self._store.change(job_id, change)
            if moved is not None:
                self._changed(job_id)
                return moved


_ENDS: dict[str, Any] = {"ends": True, "holder": "", "suspending": False}


def now() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


def _change(job: JobRecord, to: job_pb2.JobState, message: str, **values: Any) -> Change:
    return Change(
        to=to, allowed=states.sources(to), payload=_payload(to, message), time=now(), attempt=job.attempt, version=job.version, **values
    )


def _payload(state: job_pb2.JobState, message: str) -> bytes:
    return job_service_pb2.StateChange(state=state, message=message).SerializeToString()


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
