"""What clients do with jobs: create, cancel, suspend, resume and delete. Plain calls that raise ServiceError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import grpc

from actmax.v1 import job_pb2

from ..config import ServerConfig
from ..errors import FieldViolation, ServiceError, already_exists, invalid, invalid_fields, stopping
from ..jobs import states
from ..jobs.lifecycle import Lifecycle, StaleVersion, Submission
from ..jobs.reading import JobReader, check_labels
from ..messages import tokens
from ..messages.specs import plain
from ..security.principal import current_principal
from ..storage.records import JobRecord, Quota
from .executor import Executor
from .inspector import Inspector

T = TypeVar("T")

_PRIORITY_MAX = 100


class JobControl:
    """Changes of jobs that clients request.

    Parameters
    ----------
    config, lifecycle, executor, inspector
        The server's settings, lifecycle, executor and inspector.
    jobs : JobReader
        Reads jobs, in threads.
    """

    def __init__(self, config: ServerConfig, jobs: JobReader, lifecycle: Lifecycle, executor: Executor, inspector: Inspector) -> None:
        self._config = config
        self._jobs = jobs
        self._call = jobs.call
        self._lifecycle = lifecycle
        self._executor = executor
        self._inspector = inspector
        self._quota = Quota(config.max_queued_per_owner, config.max_stored_bytes_per_owner)

    async def create(
        self, spec: job_pb2.JobSpec, request_id: str, *, priority: int = 0, labels: Mapping[str, str] | None = None
    ) -> JobRecord:
        """Validate a job and queue it; it is on disk when this returns.

        Parameters
        ----------
        spec : JobSpec
            The job.
        request_id : str
            UUID of the request; a repeated one returns the first call's job. Empty for none.
        priority : int
            -100 to 100; jobs with a higher one start first.
        labels : mapping of str to str or None
            Labels.

        Returns
        -------
        JobRecord
            The job.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT by field, ALREADY_EXISTS (the request id belongs to another job), RESOURCE_EXHAUSTED (quota, full store),
            FAILED_PRECONDITION (a component can't be built) or UNAVAILABLE.
        """
        key, marked = self._marks(request_id, priority, labels or {})
        owner = current_principal.get().owner
        known = await self._call(self._jobs.store.by_request, owner, key) if key else None
        if known is None:
            checked = await self._inspector.check(_plain(spec))
            if checked.searches > self._config.max_searches:
                what = f"units times optimizers make {checked.searches} searches; this server takes {self._config.max_searches} a job"
                raise invalid("spec.units", what, reason="OVER_LIMIT")
            if checked.total_evaluations > self._config.max_evaluations:
                what = (
                    f"{checked.total_evaluations} evaluations over {checked.searches} searches are more than the "
                    f"{self._config.max_evaluations} that this server takes a job"
                )
                raise invalid("spec.budget.evaluations", what, reason="OVER_LIMIT")
            if unmet := await self._call(self._executor.unmet, spec):
                raise invalid_fields([FieldViolation(*one) for one in unmet], reason="UNMET_RESOURCES")
            submission = Submission(owner, priority, marked, self._quota)
            known, created = await self._call(self._lifecycle.create, spec, checked.total_evaluations, key, submission)
            if created:
                await self._call(self._executor.wake)  # a worker may hold it while it reads a slow store
        return _same_request(known, key, spec)

    async def analyse(
        self,
        name: str,
        analyses: Sequence[job_pb2.Component],
        request_id: str,
        *,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> JobRecord:
        """Validate further analyses of an ended job and queue them, as a job with the rights and quotas of that job's owner.

        Parameters
        ----------
        name : str
            The ended job's resource name.
        analyses : sequence of Component
            The analyses.
        request_id, priority, labels
            See :meth:`create`.

        Returns
        -------
        JobRecord
            The job that runs the analyses.

        Raises
        ------
        ServiceError
            FAILED_PRECONDITION: the named job has no results or is itself an analysis; and the errors of :meth:`create`.
        """
        key, marked = self._marks(request_id, priority, labels or {})
        job = await self._jobs.get(name)
        spec = job_pb2.JobSpec.FromString(job.spec)
        for field in ("analyses", "report", "replicas"):  # the report exists, and analyses run in one process
            spec.ClearField(field)
        spec.analyses.extend(analyses)
        known = await self._call(self._jobs.store.by_request, job.owner, key) if key else None
        if known is None:
            if job.analysis_of:
                what = f"{name} is itself an analysis; name the job that it analyses, {tokens.job_name(job.analysis_of)}"
                raise _wrong_state(job, what, "IS_ANALYSIS")
            if not await self._call(self._jobs.store.artifact, job.id, "result.json"):
                ended = "ended without results" if job.state in states.ENDED else "has not ended"
                raise _wrong_state(
                    job, f"{name} is {states.name(job.state)} and {ended}; only a job with results can be analysed", "NO_RESULTS"
                )
            await self._inspector.check_analyses(_plain(spec))
            submission = Submission(job.owner, priority, marked, self._quota, job.id)
            known, created = await self._call(self._lifecycle.create, spec, 0, key, submission)
            if created:
                await self._call(self._executor.wake)
        return _same_request(known, key, spec, job.id)

    def _marks(self, request_id: str, priority: int, labels: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return a new job's request id and labels in the store's form.

        Raises
        ------
        ServiceError
            A parameter is invalid; or the server is stopping.
        """
        if self._jobs.hub.closed:
            raise stopping()
        key = tokens.request_id(request_id)
        if not -_PRIORITY_MAX <= priority <= _PRIORITY_MAX:
            raise invalid("priority", f"{priority} is out of range; {-_PRIORITY_MAX} to {_PRIORITY_MAX} work")
        return key, check_labels(labels)

    async def cancel(self, name: str, etag: str = "") -> JobRecord:
        """Request a job's end, keeping its results, and return the job.

        Parameters
        ----------
        name : str
            The job's resource name.
        etag : str
            The job must still have this etag; empty for any.

        Raises
        ------
        ServiceError
            NOT_FOUND; FAILED_PRECONDITION: the job's state does not allow it; ABORTED: the job has changed since the etag was read.
        """
        return await self._asked(name, etag, self._lifecycle.cancel, "{name} has ended already: {state}", "JOB_HAS_ENDED")

    async def suspend(self, name: str, etag: str = "") -> JobRecord:
        """Request that a job stops at a checkpoint, and return the job. Parameters and errors are those of :meth:`cancel`."""
        what = "{name} is {state}; only a job that waits or runs can be suspended"
        return await self._asked(name, etag, self._lifecycle.suspend, what, "CANNOT_SUSPEND")

    async def resume(self, name: str, etag: str = "") -> JobRecord:
        """Requeue a suspended or failed job and return it. Parameters and errors are those of :meth:`cancel`."""
        what = "{name} is {state}; only a suspended or a failed job can be resumed"
        return await self._asked(name, etag, self._lifecycle.resume, what, "CANNOT_RESUME")

    async def delete(self, name: str, etag: str = "") -> None:
        """Delete a job and its files. Parameters and errors are those of :meth:`cancel`."""
        version = tokens.version(etag)
        while not await self._versioned(name, self._lifecycle.delete, (await self._jobs.get(name)).id, version):
            job = await self._jobs.get(name)
            if job.state in states.DELETABLE or (job.state == states.PENDING and not job.attempt):
                continue  # it has changed in between
            what = f"{name} is {states.name(job.state)}; cancel or suspend it first, and wait for that"
            raise _wrong_state(job, what, "CANNOT_DELETE")
        with contextlib.suppress(OSError):  # files that are left are removed later
            await self._call(self._jobs.files.remove, tokens.job_id(name))

    async def _asked(
        self, name: str, etag: str, change: Callable[[str, int | None], JobRecord | None], refusal: str, reason: str
    ) -> JobRecord:
        version = tokens.version(etag)
        changed = await self._versioned(name, change, (await self._jobs.get(name)).id, version)
        if changed is not None:
            await self._call(self._executor.told, changed)
            await self._call(self._executor.wake)
            return changed
        job = await self._jobs.get(name)
        raise _wrong_state(job, refusal.format(name=name, state=states.name(job.state)), reason)

    async def _versioned(self, name: str, change: Callable[[str, int | None], T], job_id: str, version: int | None) -> T:
        try:
            return await self._call(change, job_id, version)
        except StaleVersion as error:
            what = f"{name} has changed since the etag was read: it is {states.name(error.job.state)}; read it again and decide anew"
            raise ServiceError(grpc.StatusCode.ABORTED, what, reason="STALE_ETAG") from None


def _same_request(known: JobRecord, key: str, spec: job_pb2.JobSpec, analysis_of: str = "") -> JobRecord:
    """Return the job that a request has created, after a check that the request is the same.

    Raises
    ------
    ServiceError
        ALREADY_EXISTS: the request id belongs to another spec or analysis.
    """
    if key and (known.analysis_of != analysis_of or job_pb2.JobSpec.FromString(known.spec) != spec):
        raise already_exists(
            f"request_id {key} has created {tokens.job_name(known.id)} from another spec; give each new job a request_id of its own",
            reason="REQUEST_ID_REUSED",
            metadata={"job": tokens.job_name(known.id)},
        )
    return known


def _wrong_state(job: JobRecord, what: str, reason: str) -> ServiceError:
    return ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason=reason, metadata={"state": states.name(job.state)})


def _plain(spec: job_pb2.JobSpec) -> dict[str, object]:
    try:
        return plain(spec)
    except ValueError as error:
        raise invalid("spec", f"it holds what a job file can't: {error}", reason="INVALID_JOB") from None
