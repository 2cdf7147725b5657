"""What the tests of the service share: a client's calls, and readers of its errors."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from actmax.v1 import catalog_service_pb2_grpc, job_pb2, job_service_pb2, job_service_pb2_grpc

ENDED = {job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED}


def spec(steps: int = 5, target: str = "known", title: str = "", units: tuple[str, ...] = ("out[0]",), **options) -> job_pb2.JobSpec:
    """A job of the paced engine."""
    plain = {
        "title": title,
        "generator": {"name": "g"},
        "target": {"name": target},
        "units": list(units),
        "optimizer": {"name": "paced", "options": options},
        "budget": {"evaluations": steps},
    }
    return ParseDict(plain, job_pb2.JobSpec())


class Calls:
    """A client over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.jobs = job_service_pb2_grpc.JobServiceStub(channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)

    async def create(self, spec: job_pb2.JobSpec, request_id: str | None = None, **more: Any) -> job_pb2.Job:
        request_id = str(uuid.uuid4()) if request_id is None else request_id
        return await self.jobs.CreateJob(job_service_pb2.CreateJobRequest(spec=spec, request_id=request_id, **more))

    async def get(self, name: str) -> job_pb2.Job:
        return await self.jobs.GetJob(job_service_pb2.GetJobRequest(name=name))

    async def analyse(self, name: str, *analyses: dict[str, Any], **more: Any) -> job_pb2.Job:
        request = job_service_pb2.AnalyseJobRequest(name=name, **more)
        for one in analyses:
            ParseDict({"name": "count", "options": one} if "name" not in one else one, request.analyses.add())
        return await self.jobs.AnalyseJob(request)

    async def cancel(self, name: str, etag: str = "") -> job_pb2.Job:
        return await self.jobs.CancelJob(job_service_pb2.CancelJobRequest(name=name, etag=etag))

    async def suspend(self, name: str, etag: str = "") -> job_pb2.Job:
        return await self.jobs.SuspendJob(job_service_pb2.SuspendJobRequest(name=name, etag=etag))

    async def resume(self, name: str, etag: str = "") -> job_pb2.Job:
        return await self.jobs.ResumeJob(job_service_pb2.ResumeJobRequest(name=name, etag=etag))

    async def delete(self, name: str, etag: str = "") -> None:
        await self.jobs.DeleteJob(job_service_pb2.DeleteJobRequest(name=name, etag=etag))

    @staticmethod
    def retry_seconds(error: grpc.aio.AioRpcError) -> float:
        status, info = rpc_status.from_call(error), error_details_pb2.RetryInfo()  # type: ignore[arg-type]
        return max(info.retry_delay.ToSeconds() for detail in status.details if detail.Unpack(info)) if status else 0.0

    async def page(self, size: int = 0, token: str = "", states: tuple[Any, ...] = ()) -> job_service_pb2.ListJobsResponse:
        return await self.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=size, page_token=token, states=states))

    async def watch(self, name: str, token: str = "") -> list[job_service_pb2.WatchJobResponse]:
        return [response async for response in self.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=name, resume_token=token))]

    async def ended(self, name: str, seconds: float = 200) -> job_pb2.Job:
        return await self.until(name, lambda job: job.state in ENDED, seconds)

    async def until(self, name: str, condition, seconds: float = 200) -> job_pb2.Job:
        async with asyncio.timeout(seconds):
            while not condition(job := await self.get(name)):
                await asyncio.sleep(0.02)
            return job

    async def artifacts(self, name: str) -> dict[str, job_pb2.Artifact]:
        response = await self.jobs.ListArtifacts(job_service_pb2.ListArtifactsRequest(name=name))
        return {artifact.path: artifact for artifact in response.artifacts}

    async def download(self, name: str, path: str, offset: int = 0, length: int = 0) -> tuple[job_pb2.Artifact, list[bytes]]:
        request = job_service_pb2.DownloadArtifactRequest(name=name, path=path, offset=offset, length=length)
        responses = [response async for response in self.jobs.DownloadArtifact(request)]
        assert all(not response.HasField("artifact") for response in responses[1:])
        return responses[0].artifact, [response.data for response in responses]


@asynccontextmanager
async def calling(address: str):
    async with grpc.aio.insecure_channel(address) as channel:
        yield Calls(channel)


@asynccontextmanager
async def refused(code: grpc.StatusCode, field: str | None = None, match: str = ""):
    """The calls inside end with ``code``, ErrorInfo, and, where it is given, a violation of ``field``; yields where the error will be."""
    found: list[grpc.aio.AioRpcError] = []
    try:
        yield found
    except grpc.aio.AioRpcError as error:
        found.append(error)
    assert found, f"it was taken, {code} was expected"
    error = found[0]
    assert error.code() == code, f"{error.code()}: {error.details()}"
    assert match in (error.details() or ""), error.details()
    info, fields = details(error)
    assert info.domain == "actmax"
    assert info.reason
    if field is not None:
        assert field in fields, fields


def details(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, dict[str, str]]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(bad)
    return info, {violation.field: violation.description for violation in bad.field_violations}
