"""Every change of a job: writes the store, then notifies the watchers."""

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
    """The job has another version than the caller expected; ``job`` is its present record."""

    def __init__(self, job: JobRecord) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass(frozen=True)
class Submission:
    """How a job is submitted.

    Attributes
    ----------
    owner : str
        The job's owner.
    priority : int
        Jobs with a higher one start first.
    labels : sequence of (str, str)
        Keys and values.
    quota : Quota
        The owner's quotas.
    analysis_of : str
        The ``id`` of the ended job that this job analyses; empty for a job with searches.
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
        Keeps the jobs.
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
        """Queue a job, or find the job that ``request_id`` has created before.

        Parameters
        ----------
        spec : JobSpec
            The job.
        total_evaluations : int
            Evaluations over all searches; 0 if seconds alone limit them.
        request_id : str
            The client's idempotency key; empty for none.
        submission : Submission
            Owner, priority, labels and quotas.

        Returns
        -------
        JobRecord
            The job.
        bool
            Whether this call created it.

        Raises
        ------
        OverQuota, RequestSpent
            See ``JobStore.create``.
        """
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
        """Start an attempt at the job that is next in the queue, and return the job; None if there is none.

        Parameters
        ----------
        holder : str
            The server that runs the attempt.
        excluding : collection of str
            Identifiers of jobs to pass over.
        running : int
            Owners that have so many running jobs are passed over; 0 is no limit. See ``JobStore.claim``.
        """

        def start(job: JobRecord) -> Change:
            to = states.CANCELLING if job.state == states.CANCELLING else states.RUNNING
            return _change(job, to, f"attempt {job.attempt + 1}", starts=True, holder=holder, suspending=False)

        claimed = self._store.claim(states.WAITING, start, excluding=excluding, running=running)
        if claimed is not None:
            self._changed(claimed.id)
        return claimed

    def analysed(self, job: JobRecord) -> JobRecord | None:
        """Return the present record of the job that ``job`` analyses; None if it was deleted."""
        return self._store.get(job.analysis_of)

    def has_turn(self, job: JobRecord) -> bool:
        """Return whether the attempt is the job's present one, and a server holds it."""
        now = self._store.get(job.id)
        return now is not None and now.attempt == job.attempt and bool(now.holder)

    def progress(self, job: JobRecord, progress: bytes) -> bool:
        """Store the attempt's progress, a serialised ``actmax.v1.Progress``; return False if the attempt is not the job's present one."""
        kept = self._store.add_progress(job.id, job.attempt, states.ACTIVE, progress, now())
        if kept:
            self._changed(job.id)
        return kept

    def succeeded(self, job: JobRecord, artifacts: Sequence[ArtifactRecord]) -> JobRecord | None:
        """Record that the attempt completed the job; return the job, or None if the attempt is not the present one."""
        return self._end(job, states.SUCCEEDED, "", artifacts=tuple(artifacts))

    def cancelled(self, job: JobRecord, message: str, artifacts: Sequence[ArtifactRecord] = ()) -> JobRecord | None:
        """Record that the attempt ended by a cancellation; return the job, or None if the attempt is not the present one.

        Parameters
        ----------
        job : JobRecord
            The job, with the attempt.
        message : str
            For the client; may be empty.
        artifacts : sequence of ArtifactRecord
            The files that the attempt wrote.
        """
        return self._end(job, states.CANCELLED, message, artifacts=tuple(artifacts))

    def failed(self, job: JobRecord, code: str, message: str) -> JobRecord | None:
        """Record that the attempt failed and a retry can't help; return the job, or None if the attempt is not the present one.

        Parameters
        ----------
        job : JobRecord
            The job, with the attempt.
        code : str
            Canonical code of the error, such as "INTERNAL".
        message : str
            For the client.
        """
        return self._end(job, states.FAILED, message, error_code=code, error_message=message)

    def returned(self, job: JobRecord, message: str) -> JobRecord | None:
        """Return the job to the queue: the attempt stopped early, and another one continues from its checkpoint."""
        return self._attempted(job, lambda old: self._back(old, message))

    def crashed(self, job: JobRecord, what: str, limit: int) -> JobRecord | None:
        """Record that the attempt's worker died: requeue the job, or fail it after ``limit`` deaths without progress.

        Parameters
        ----------
        job : JobRecord
            The job, with the attempt.
        what : str
            How the worker died, for the message.
        limit : int
            Number of deaths in a row without progress at which the job is FAILED.
        """
        return self._attempted(job, lambda old: self._died(old, "crashes", what, limit))

    def orphaned(self, job: JobRecord, what: str, limit: int) -> JobRecord | None:
        """Record that the attempt's server died: as ``crashed``, with a separate count.

        Servers die for many reasons that are not the job's, so their limit is separate too.
        """
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
        """Request a job's end: immediate if it never ran. Return the job, or None if it has ended or is unknown.

        Parameters
        ----------
        job_id : str
            The job's identifier.
        version : int or None
            The version that the job must have; None for any.

        Raises
        ------
        StaleVersion
            The job has another version.
        """

        def decide(job: JobRecord) -> Change | JobRecord | None:
            if job.state in states.ENDED:
                return None
            if job.state == states.CANCELLING:
                return job
            # A job that ran before has results in its checkpoint: a worker starts once more to write them.
            never_ran = job.attempt == 0 and job.state in (states.PENDING, states.SUSPENDED)
            to = states.CANCELLED if never_ran else states.CANCELLING
            return _change(job, to, "cancelled by a client", ends=to in states.ENDED, suspending=False)

        return self._decided(job_id, decide, version)

    def suspend(self, job_id: str, version: int | None = None) -> JobRecord | None:
        """Request that a job stops at a checkpoint: immediate if no worker runs it.

        Return the job, or None if it is ending, has ended, or is unknown. Parameters and errors are those of ``cancel``.
        """

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
        """Requeue a suspended or failed job, or withdraw a suspension.

        Return the job, or None if it is ending, has ended otherwise, or is unknown. Parameters and errors are those of ``cancel``.
        """

        def decide(job: JobRecord) -> Change | JobRecord | None:
            if job.state in (states.SUSPENDED, states.FAILED):
                return _change(job, states.PENDING, "resumed by a client", crashes=0, deaths=0)
            if job.state == states.RUNNING and job.suspending:
                return _change(job, states.RUNNING, "not to be suspended after all", suspending=False)
            return job if job.state in (states.PENDING, states.RUNNING) else None

        return self._decided(job_id, decide, version)

    def delete(self, job_id: str, version: int | None = None) -> bool:
        """Delete a job that has ended, is suspended, or never ran, and return whether that was done.

        Parameters and errors are those of ``cancel``.
        """
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
        # Fenced: only the job's present attempt may change it.
        def decided(old: JobRecord) -> Change | None:
            change = decide(old)
            return change if old.attempt == job.attempt and old.state in change.allowed and old.state in states.ACTIVE else None

        return self._decided(job.id, decided)

    def _decided(
        self, job_id: str, decide: Callable[[JobRecord], Change | JobRecord | None], version: int | None = None
    ) -> JobRecord | None:
        """Read the job, decide on a change and write it; start over if the job changed in between."""
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
    """Return the present time in microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


def _change(job: JobRecord, to: job_pb2.JobState, message: str, **values: Any) -> Change:
    return Change(
        to=to, allowed=states.sources(to), payload=_payload(to, message), time=now(), attempt=job.attempt, version=job.version, **values
    )


def _payload(state: job_pb2.JobState, message: str) -> bytes:
    return job_service_pb2.StateChange(state=state, message=message).SerializeToString()


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
