"""Jobs without their transport: plain calls that raise ServiceError."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import grpc

from actmax.v1 import job_pb2

from ..config import ServerConfig
from ..errors import (
    FieldViolation,
    ServiceError,
    already_exists,
    exhausted,
    invalid,
    invalid_fields,
    not_found,
    over_quota,
    stopping,
    unreachable,
)
from ..execution.executor import Executor
from ..execution.inspector import Inspector
from ..observing.metrics import Metrics
from ..security.principal import calling
from ..storage.folders import JobFiles
from ..storage.records import ArtifactRecord, EventRecord, Filter, JobRecord, Quota
from ..storage.store import JobStore, OverQuota, RequestSpent, StorageFull, StorageGone
from . import states, tokens
from .hub import Hub
from .lifecycle import Lifecycle, StaleVersion
from .plain import plain

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 50
_PAGE_MAX = 1000
_PAGE_BYTES = 2 * 1024 * 1024  # below the 4 MiB that gRPC clients accept by default
_EVENTS = 100
CHUNK_BYTES = 256 * 1024
_PRIORITY_MAX = 100
_LABELS_MAX = 64
_LABEL = re.compile(r"[A-Za-z0-9_./-]{1,63}")


class Jobs:
    """What ``actmax.v1.JobService`` offers.

    Parameters
    ----------
    config, store, files, lifecycle, executor, inspector, hub
        The server's.
    threads : ThreadPoolExecutor
        Where calls that block are made.
    metrics : Metrics
        Told of watches.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: JobStore,
        files: JobFiles,
        lifecycle: Lifecycle,
        executor: Executor,
        inspector: Inspector,
        hub: Hub,
        threads: ThreadPoolExecutor,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._store = store
        self._files = files
        self._lifecycle = lifecycle
        self._executor = executor
        self._inspector = inspector
        self._hub = hub
        self._threads = threads
        self._metrics = metrics
        self._quota = Quota(config.max_queued_per_owner, config.max_stored_bytes_per_owner)

    async def create(
        self, spec: job_pb2.JobSpec, request_id: str, *, priority: int = 0, labels: Mapping[str, str] | None = None
    ) -> JobRecord:
        """Check a job and queue it; it is on disk when this returns."""
        if self._hub.closed:
            raise stopping()
        key = tokens.request_id(request_id)
        if not -_PRIORITY_MAX <= priority <= _PRIORITY_MAX:
            raise invalid("priority", f"{priority} is out of range; {-_PRIORITY_MAX} to {_PRIORITY_MAX} work")
        marked = check_labels(labels or {})
        owner = calling.get().owner
        known = await self._call(self._store.by_request, owner, key) if key else None
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
            new = partial(self._lifecycle.create, owner=owner, priority=priority, labels=marked, quota=self._quota)
            known, created = await self._call(new, spec, checked.total_evaluations, key)
            if created:
                await self._call(self._executor.wake)  # a worker may hold it while it reads a slow store
        # The same request may have come twice at once, so this is looked at either way.
        if key and job_pb2.JobSpec.FromString(known.spec) != spec:
            raise already_exists(
                f"request_id {key} has created {tokens.job_name(known.id)} from another spec; give each new job a request_id of its own",
                reason="REQUEST_ID_REUSED",
                metadata={"job": tokens.job_name(known.id)},
            )
        return known

    async def get(self, name: str) -> JobRecord:
        """A job."""
        job_id = tokens.job_id(name)
        job = await self._call(self._store.get, job_id)
        sees = calling.get().sees
        if job is None or (sees is not None and job.owner != sees):
            raise await self._unknown(job_id)  # another one's job is no different from none
        return job

    async def page(
        self,
        size: int,
        token: str,
        wanted: Sequence[int],
        labels: Mapping[str, str] | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> tuple[list[JobRecord], str]:
        """Jobs, newest first, and the token of the next page, or an empty one."""
        if size < 0:
            raise invalid("page_size", f"{size} is below zero; 1 to {_PAGE_MAX} work, and 0 for {_PAGE}")
        known = frozenset(job_pb2.JobState.values()) - {job_pb2.JOB_STATE_UNSPECIFIED}
        for number, state in enumerate(wanted):
            if state not in known:
                raise invalid(f"states[{number}]", f"{state} is not a state; leave states empty for all jobs")
        which = Filter(frozenset(wanted), check_labels(labels or {}), calling.get().sees, since, until)
        before = tokens.page_before(token, which)
        limit = min(size or _PAGE, _PAGE_MAX)
        found = await self._call(self._store.page, which, before=before, limit=limit + 1)
        room, page = _PAGE_BYTES, []
        for job in found[:limit]:
            room -= len(job.spec) + len(job.progress) + len(job.error_message) + 200
            if page and room < 0:
                break
            page.append(job)
        more = len(found) > len(page)
        return page, tokens.page_token(page[-1].number, which) if more else ""

    async def watch(self, name: str, token: str) -> AsyncGenerator[tuple[str, JobRecord | EventRecord | None], None]:
        """Resume tokens, each with the job (once, first), an event, or None to keep the line alive; ends with the job."""
        job_id = tokens.job_id(name)
        with self._hub.watching(job_id) as signal, self._metrics.watchers.track_inprogress():
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

    async def cancel(self, name: str, etag: str = "") -> JobRecord:
        """End a job and keep what was found."""
        return await self._asked(name, etag, self._lifecycle.cancel, "{name} has ended already: {state}", "JOB_HAS_ENDED")

    async def suspend(self, name: str, etag: str = "") -> JobRecord:
        """Have a job wait at a checkpoint."""
        what = "{name} is {state}; only a job that waits or runs can be suspended"
        return await self._asked(name, etag, self._lifecycle.suspend, what, "CANNOT_SUSPEND")

    async def resume(self, name: str, etag: str = "") -> JobRecord:
        """Have a suspended or failed job go on."""
        what = "{name} is {state}; only a suspended or a failed job can be resumed"
        return await self._asked(name, etag, self._lifecycle.resume, what, "CANNOT_RESUME")

    async def delete(self, name: str, etag: str = "") -> None:
        """Forget a job and remove its files."""
        version = tokens.version(etag)
        while not await self._versioned(name, self._lifecycle.delete, (await self.get(name)).id, version):
            job = await self.get(name)
            if job.state in states.DELETABLE or (job.state == states.PENDING and not job.attempt):
                continue  # it has changed in between
            what = f"{name} is {states.name(job.state)}; cancel or suspend it first, and wait for that"
            raise _wrong_state(job, what, "CANNOT_DELETE")
        with contextlib.suppress(OSError):  # what is left is swept later
            await self._call(self._files.remove, tokens.job_id(name))

    async def artifacts(self, name: str) -> Sequence[ArtifactRecord]:
        """What a job made; nothing before it has ended."""
        job = await self.get(name)
        return await self._call(self._store.artifacts, job.id)

    async def download(
        self, name: str, path: str, offset: int, length: int = 0
    ) -> AsyncGenerator[tuple[ArtifactRecord | None, bytes], None]:
        """``length`` (0: all) of an artifact's bytes from ``offset`` on, in chunks; the artifact comes with the first one."""
        job = await self.get(name)
        if not path or path.startswith("/") or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
            what = f"{path[:200]!r} is not a path below the job, such as report.html or stimuli/one.png; ListArtifacts has them"
            raise invalid("path", what)
        artifact = await self._call(self._store.artifact, job.id, path)
        if artifact is None:
            raise await self._no_artifact(job, path)
        if offset < 0:
            raise invalid("offset", f"{offset} is below zero")
        if length < 0:
            raise invalid("length", f"{length} is below zero; 0 is all that follow")
        if offset > artifact.size:
            what = f"offset {offset} is behind the end of {path}, which has {artifact.size} bytes"
            raise ServiceError(grpc.StatusCode.OUT_OF_RANGE, what, reason="OFFSET_BEYOND_END")
        try:
            file = await self._call(self._files.open_artifact, job.id, job.attempt, path)
        except FileNotFoundError:
            what = f"{path} of {name} is gone from the data folder"
            raise ServiceError(grpc.StatusCode.DATA_LOSS, what, reason="ARTIFACT_GONE") from None
        with contextlib.closing(file):
            await self._call(file.seek, offset)
            left = min(length or artifact.size, artifact.size - offset)
            data = await self._call(file.read, min(CHUNK_BYTES, left))
            yield artifact, data
            while (left := left - len(data)) > 0 and (data := await self._call(file.read, min(CHUNK_BYTES, left))):
                yield None, data

    async def _asked(
        self, name: str, etag: str, change: Callable[[str, int | None], JobRecord | None], refusal: str, reason: str
    ) -> JobRecord:
        version = tokens.version(etag)
        changed = await self._versioned(name, change, (await self.get(name)).id, version)
        if changed is not None:
            await self._call(self._executor.told, changed)
            await self._call(self._executor.wake)
            return changed
        job = await self.get(name)
        raise _wrong_state(job, refusal.format(name=name, state=states.name(job.state)), reason)

    async def _versioned(self, name: str, change: Callable[[str, int | None], T], job_id: str, version: int | None) -> T:
        try:
            return await self._call(change, job_id, version)
        except StaleVersion as error:
            what = f"{name} has changed since the etag was read: it is {states.name(error.job.state)}; read it again and decide anew"
            raise ServiceError(grpc.StatusCode.ABORTED, what, reason="STALE_ETAG") from None

    async def _unknown(self, job_id: str) -> ServiceError:
        near = await self._call(self._store.ids_like, job_id[:4], calling.get().sees, 2) if len(job_id) >= 4 else []
        hint = f"; did you mean {tokens.job_name(near[0])}?" if len(near) == 1 else "; ListJobs (actmax list) has them all"
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
        except StorageGone as error:
            raise unreachable(error) from error
        except OverQuota as error:
            raise over_quota(calling.get().owner, error.what, error.limit) from None
        except RequestSpent as error:
            what = f"request_id {error} has created a job that was deleted since; give each new job a request_id of its own"
            raise already_exists(what, reason="REQUEST_ID_SPENT") from None


def check_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels as they are kept.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT.
    """
    if len(labels) > _LABELS_MAX:
        raise invalid("labels", f"{len(labels)} are too many; {_LABELS_MAX} work")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key):
            raise invalid("labels", f"{key[:100]!r} is no key: 1 to 63 letters, digits, '_', '-', '.' and '/' work")
        if len(value) > 255 or "\0" in value:
            raise invalid(f"labels[{key!r}]", "a value has at most 255 characters, and no null among them")
    return tuple(sorted(labels.items()))


def _wrong_state(job: JobRecord, what: str, reason: str) -> ServiceError:
    return ServiceError(grpc.StatusCode.FAILED_PRECONDITION, what, reason=reason, metadata={"state": states.name(job.state)})


def _plain(spec: job_pb2.JobSpec) -> dict[str, object]:
    try:
        return plain(spec)
    except ValueError as error:
        raise invalid("spec", f"it holds what a job file can't: {error}", reason="INVALID_JOB") from None
