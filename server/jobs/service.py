"""Jobs without their transport: plain calls that raise ServiceError."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import grpc

from actmax.v1 import job_pb2

from ..config import ServerConfig
from ..errors import ServiceError, exhausted, invalid, not_found, stopping
from ..execution.executor import Executor
from ..execution.inspector import Inspector
from ..storage.folders import JobFolders
from ..storage.records import ArtifactRecord, EventRecord, JobRecord
from ..storage.store import JobStore, StorageFull
from . import states, tokens
from .hub import Hub
from .lifecycle import Lifecycle
from .plain import plain

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 50
_PAGE_MAX = 1000
_PAGE_BYTES = 2 * 1024 * 1024  # below the 4 MiB that gRPC clients accept by default
_EVENTS = 100
CHUNK_BYTES = 256 * 1024


class Jobs:
    """What ``actmax.v1.JobService`` offers.

    Parameters
    ----------
    config, store, folders, lifecycle, executor, inspector, hub
        The server's.
    threads : ThreadPoolExecutor
        Where calls that block are made.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: JobStore,
        folders: JobFolders,
        lifecycle: Lifecycle,
        executor: Executor,
        inspector: Inspector,
        hub: Hub,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._config = config
        self._store = store
        self._folders = folders
        self._lifecycle = lifecycle
        self._executor = executor
        self._inspector = inspector
        self._hub = hub
        self._threads = threads

    async def create(self, spec: job_pb2.JobSpec, request_id: str) -> JobRecord:
        """Check a job and queue it; it is on disk when this returns."""
        if self._hub.closed:
            raise stopping()
        key = tokens.request_id(request_id)
        known = await self._call(self._store.by_request, key) if key else None
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
            known = await self._call(self._create, spec, checked.total_evaluations, key)
        # The same request may have come twice at once, so this is looked at either way.
        if key and job_pb2.JobSpec.FromString(known.spec) != spec:
            raise ServiceError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"request_id {key} has created {tokens.job_name(known.id)} from another spec; give each new job a request_id of its own",
                reason="REQUEST_ID_REUSED",
                metadata={"job": tokens.job_name(known.id)},
            )
        return known

    async def get(self, name: str) -> JobRecord:
        """A job."""
        job_id = tokens.job_id(name)
        job = await self._call(self._store.get, job_id)
        if job is None:
            raise await self._unknown(job_id)
        return job

    async def page(self, size: int, token: str, wanted: Sequence[int]) -> tuple[list[JobRecord], str]:
        """Jobs, newest first, and the token of the next page, or an empty one."""
        if size < 0:
            raise invalid("page_size", f"{size} is below zero; 1 to {_PAGE_MAX} work, and 0 for {_PAGE}")
        known = frozenset(job_pb2.JobState.values()) - {job_pb2.JOB_STATE_UNSPECIFIED}
        for number, state in enumerate(wanted):
            if state not in known:
                raise invalid(f"states[{number}]", f"{state} is not a state; leave states empty for all jobs")
        before = tokens.page_before(token, wanted)
        limit = min(size or _PAGE, _PAGE_MAX)
        found = await self._call(self._store.page, states=wanted, before=before, limit=limit + 1)
        room, page = _PAGE_BYTES, []
        for job in found[:limit]:
            room -= len(job.spec) + len(job.progress) + len(job.error_message) + 200
            if page and room < 0:
                break
            page.append(job)
        more = len(found) > len(page)
        return page, tokens.page_token(page[-1].number, wanted) if more else ""

    async def watch(self, name: str, token: str) -> AsyncGenerator[tuple[str, JobRecord | EventRecord | None], None]:
        """Resume tokens, each with the job (once, first), an event, or None to keep the line alive; ends with the job."""
        job_id = tokens.job_id(name)
        with self._hub.watching(job_id) as signal:
            job = await self.get(name)
            after = tokens.resume_after(token, job_id, job.last_sequence)
            yield tokens.resume_token(job_id, after), job
            spoke = time.monotonic()
            while True:
                signal.clear()
                read = await self._call(self._store.events, job_id, after, _EVENTS)
                if read is None:
                    raise await self._unknown(job_id)
                job, events = read
                for event in events:
                    after = event.sequence
                    yield tokens.resume_token(job_id, after), event
                    spoke = time.monotonic()
                if after >= job.last_sequence and job.state in states.ENDED:
                    return
                if self._hub.closed:
                    raise stopping()
                if len(events) == _EVENTS:
                    continue
                try:
                    await asyncio.wait_for(signal.wait(), max(0.0, spoke + self._config.keep_alive_seconds - time.monotonic()))
                except TimeoutError:
                    yield tokens.resume_token(job_id, after), None
                    spoke = time.monotonic()

    async def cancel(self, name: str) -> JobRecord:
        """End a job and keep what was found."""
        job_id = tokens.job_id(name)
        cancelled = await self._call(self._cancel, job_id)
        if cancelled is not None:
            return cancelled
        job = await self.get(name)
        state = states.name(job.state)
        what = f"{name} has ended already: {state}"
        raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason="JOB_HAS_ENDED", metadata={"state": state})

    async def artifacts(self, name: str) -> Sequence[ArtifactRecord]:
        """What a job made; nothing before it has ended."""
        job = await self.get(name)
        return await self._call(self._store.artifacts, job.id)

    async def download(self, name: str, path: str, offset: int) -> AsyncGenerator[tuple[ArtifactRecord | None, bytes], None]:
        """An artifact's bytes from ``offset`` on, in chunks; the first comes with the artifact, even when it is empty."""
        job = await self.get(name)
        if not path or path.startswith("/") or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
            what = f"{path[:200]!r} is not a path below the job, such as report.html or stimuli/one.png; ListArtifacts has them"
            raise invalid("path", what)
        artifact = await self._call(self._store.artifact, job.id, path)
        if artifact is None:
            raise await self._no_artifact(job, path)
        if offset < 0:
            raise invalid("offset", f"{offset} is below zero")
        if offset > artifact.size:
            what = f"offset {offset} is behind the end of {path}, which has {artifact.size} bytes"
            raise ServiceError(grpc.StatusCode.OUT_OF_RANGE, what, reason="OFFSET_BEYOND_END")
        try:
            file = await self._call(self._folders.open_artifact, job.id, job.attempt, path)
        except OSError:
            what = f"{path} of {name} is gone from the data folder"
            raise ServiceError(grpc.StatusCode.DATA_LOSS, what, reason="ARTIFACT_GONE") from None
        with contextlib.closing(file):
            await self._call(file.seek, offset)
            yield artifact, await self._call(file.read, CHUNK_BYTES)
            while data := await self._call(file.read, CHUNK_BYTES):
                yield None, data

    def _create(self, spec: job_pb2.JobSpec, total: int, key: str) -> JobRecord:
        record, created = self._lifecycle.create(spec, total, key)
        if created:
            self._executor.wake()
        return record

    def _cancel(self, job_id: str) -> JobRecord | None:
        job = self._lifecycle.cancel(job_id)
        if job is not None:
            self._executor.cancel(job_id)
            self._executor.wake()
        return job

    async def _unknown(self, job_id: str) -> ServiceError:
        near = await self._call(self._store.ids_like, job_id[:4], 2) if len(job_id) >= 4 else []
        hint = f"; did you mean {tokens.job_name(near[0])}?" if len(near) == 1 else "; ListJobs has them all"
        return not_found(f"there is no job {tokens.job_name(job_id)[:100]}{hint}", reason="NO_SUCH_JOB")

    async def _no_artifact(self, job: JobRecord, path: str) -> ServiceError:
        if job.state not in states.ENDED:
            what = f"{tokens.job_name(job.id)} is {states.name(job.state)}; it has artifacts once it has ended"
            return not_found(what, reason="NO_SUCH_ARTIFACT")
        return not_found(f"{tokens.job_name(job.id)} has no artifact {path[:200]!r}; ListArtifacts has them all", reason="NO_SUCH_ARTIFACT")

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
        except StorageFull as error:
            raise exhausted("nothing was changed", str(error)) from error


def _plain(spec: job_pb2.JobSpec) -> dict[str, object]:
    try:
        return plain(spec)
    except ValueError as error:
        raise invalid("spec", f"it holds what a job file can't: {error}", reason="INVALID_JOB") from None
