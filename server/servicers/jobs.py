"""``actmax.v1.JobService``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Literal

from google.protobuf import empty_pb2

from actmax.v1 import job_pb2, job_service_pb2

from ..errors import invalid
from ..execution.control import JobControl
from ..jobs.reading import JobReader
from ..messages import jobs as messages
from ..storage.records import JobRecord
from .guard import stream, unary

_TimeField = Literal["created_since", "created_until"]


class JobServicer:
    """Answers calls about jobs with ``JobReader`` and ``JobControl``."""

    def __init__(self, jobs: JobReader, control: JobControl) -> None:
        self._jobs = jobs
        self._control = control

    @unary
    async def CreateJob(self, request: job_service_pb2.CreateJobRequest) -> job_pb2.Job:
        """Validate a job, queue it and return it; a repeated ``request_id`` returns the first call's job.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: the spec is missing; and the errors of ``JobControl.create``.
        """
        if not request.HasField("spec"):
            raise invalid("spec", "it is needed: what to search, for which units, how")
        labels = dict(request.labels)
        return messages.job(await self._control.create(request.spec, request.request_id, priority=request.priority, labels=labels))

    @unary
    async def AnalyseJob(self, request: job_service_pb2.AnalyseJobRequest) -> job_pb2.Job:
        """Validate further analyses of an ended job, queue them as a job, and return it."""
        labels = dict(request.labels)
        queued = await self._control.analyse(request.name, request.analyses, request.request_id, priority=request.priority, labels=labels)
        return messages.job(queued)

    @unary
    async def GetJob(self, request: job_service_pb2.GetJobRequest) -> job_pb2.Job:
        """Return a job that the caller may see."""
        return messages.job(await self._jobs.get(request.name))

    @unary
    async def ListJobs(self, request: job_service_pb2.ListJobsRequest) -> job_service_pb2.ListJobsResponse:
        """Return a page of the caller's jobs, newest first; administrators see the jobs of all owners."""
        page, token = await self._jobs.page(
            request.page_size,
            request.page_token,
            request.states,
            dict(request.labels),
            _microseconds(request, "created_since"),
            _microseconds(request, "created_until"),
        )
        return job_service_pb2.ListJobsResponse(jobs=[messages.job(job) for job in page], next_page_token=token)

    @stream
    async def WatchJob(self, request: job_service_pb2.WatchJobRequest) -> AsyncGenerator[job_service_pb2.WatchJobResponse, None]:
        """Stream a snapshot of the job, then its events, with messages that keep a quiet stream alive."""
        async with contextlib.aclosing(self._jobs.watch(request.name, request.resume_token)) as changes:
            async for token, change in changes:
                response = job_service_pb2.WatchJobResponse(resume_token=token)
                if change is None:
                    response.keep_alive.SetInParent()
                elif isinstance(change, JobRecord):
                    response.snapshot.CopyFrom(messages.job(change))
                else:
                    response.event.CopyFrom(messages.event(change))
                yield response

    @unary
    async def CancelJob(self, request: job_service_pb2.CancelJobRequest) -> job_pb2.Job:
        """Request the job's end and return the job; its worker writes the results found so far."""
        return messages.job(await self._control.cancel(request.name, request.etag))

    @unary
    async def SuspendJob(self, request: job_service_pb2.SuspendJobRequest) -> job_pb2.Job:
        """Request that the job stops at a checkpoint, and return the job."""
        return messages.job(await self._control.suspend(request.name, request.etag))

    @unary
    async def ResumeJob(self, request: job_service_pb2.ResumeJobRequest) -> job_pb2.Job:
        """Requeue a suspended or failed job and return it."""
        return messages.job(await self._control.resume(request.name, request.etag))

    @unary
    async def DeleteJob(self, request: job_service_pb2.DeleteJobRequest) -> empty_pb2.Empty:
        """Delete a job and its files."""
        await self._control.delete(request.name, request.etag)
        return empty_pb2.Empty()

    @unary
    async def ListArtifacts(self, request: job_service_pb2.ListArtifactsRequest) -> job_service_pb2.ListArtifactsResponse:
        """Return the artifacts of an ended job, by path."""
        found = await self._jobs.artifacts(request.name)
        return job_service_pb2.ListArtifactsResponse(artifacts=[messages.artifact(artifact) for artifact in found])

    @stream
    async def DownloadArtifact(
        self, request: job_service_pb2.DownloadArtifactRequest
    ) -> AsyncGenerator[job_service_pb2.DownloadArtifactResponse, None]:
        """Stream an artifact's bytes in chunks; the first response has the artifact's record too."""
        async with contextlib.aclosing(self._jobs.download(request.name, request.path, request.offset, request.length)) as chunks:
            async for artifact, data in chunks:
                yield job_service_pb2.DownloadArtifactResponse(artifact=messages.artifact(artifact) if artifact else None, data=data)


def _microseconds(request: job_service_pb2.ListJobsRequest, field: _TimeField) -> int | None:
    if not request.HasField(field):
        return None
    try:
        return getattr(request, field).ToMicroseconds()
    except ValueError as error:
        raise invalid(field, str(error)) from None
