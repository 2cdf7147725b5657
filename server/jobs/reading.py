"""What clients read of jobs, as plain calls that raise ServiceError."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

import grpc

from actmax.v1 import job_pb2

from ..errors import ServiceError, already_exists, exhausted, invalid, not_found, over_quota, stopping, unreachable
from ..messages import tokens
from ..observing.metrics import Metrics
from ..security.principal import current_principal
from ..storage.folders import JobFiles
from ..storage.records import ArtifactRecord, EventRecord, Filter, JobRecord
from ..storage.store import JobStore, OverQuota, RequestSpent, StorageFull, StorageGone
from . import states
from .hub import Hub

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 50
_PAGE_MAX = 1000
_PAGE_BYTES = 2 * 1024 * 1024  # below the 4 MiB that gRPC clients accept by default
_EVENTS = 100
CHUNK_BYTES = 256 * 1024
_LABELS_MAX = 64
_LABEL = re.compile(r"[A-Za-z0-9_./-]{1,63}")


class JobReader:
    """Jobs, their events and their files, as far as the caller may see them.

    Parameters
    ----------
    store, files, hub
        The server's store, job files and hub.
    threads : Executor
        Runs blocking calls.
    metrics : Metrics
        Counts open watches.
    keep_alive_seconds : float
        Longest silence of a watch.
    """

    def __init__(
        self, store: JobStore, files: JobFiles, hub: Hub, threads: Executor, metrics: Metrics, *, keep_alive_seconds: float
    ) -> None:
        self.store = store
        self.files = files
        self.hub = hub
        self._threads = threads
        self._metrics = metrics
        self._keep_alive_seconds = keep_alive_seconds

    async def get(self, name: str) -> JobRecord:
        """Return a job by its resource name.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: the name is malformed; NOT_FOUND: there is no such job, or the caller may not see it.
        """
        job_id = tokens.job_id(name)
        job = await self.call(self.store.get, job_id)
        sees = current_principal.get().sees
        if job is None or (sees is not None and job.owner != sees):
            raise await self._unknown(job_id)  # the answer must not reveal whether another owner has such a job
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
        """Return one page of jobs, newest first, and the token of the next page.

        Parameters
        ----------
        size : int
            Most jobs of the page, up to 1000; 0 for 50. A page may be shorter, as its bytes are limited too.
        token : str
            Token of the page; empty for the first one.
        wanted : sequence of int
            Values of ``JobState``; empty for all.
        labels : mapping of str to str or None
            Labels that the jobs have.
        since, until : int or None
            Bounds of the creation time in microseconds since 1970, ``since`` included and ``until`` excluded.

        Returns
        -------
        list of JobRecord
            The jobs.
        str
            The next page's token; empty after the last one.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: a parameter is invalid, or the token belongs to another filter.
        """
        if size < 0:
            raise invalid("page_size", f"{size} is below zero; 1 to {_PAGE_MAX} work, and 0 for {_PAGE}")
        known = frozenset(job_pb2.JobState.values()) - {job_pb2.JOB_STATE_UNSPECIFIED}
        for number, state in enumerate(wanted):
            if state not in known:
                raise invalid(f"states[{number}]", f"{state} is not a state; leave states empty for all jobs")
        which = Filter(frozenset(wanted), check_labels(labels or {}), current_principal.get().sees, since, until)
        before = tokens.page_before(token, which)
        limit = min(size or _PAGE, _PAGE_MAX)
        found = await self.call(self.store.page, which, before=before, limit=limit + 1)
        room, page = _PAGE_BYTES, []
        for job in found[:limit]:
            room -= len(job.spec) + len(job.progress) + len(job.error_message) + 200
            if page and room < 0:
                break
            page.append(job)
        more = len(found) > len(page)
        return page, tokens.page_token(page[-1].number, which) if more else ""

    async def watch(self, name: str, token: str) -> AsyncGenerator[tuple[str, JobRecord | EventRecord | None], None]:
        """Yield resume tokens, each with the job (first), an event, or None to keep the connection alive; end after the job's last event.

        Parameters
        ----------
        name : str
            The job's resource name.
        token : str
            Resume token to continue after; empty for all events.

        Raises
        ------
        ServiceError
            NOT_FOUND, INVALID_ARGUMENT for a wrong token, or UNAVAILABLE when the server stops.
        """
        job_id = tokens.job_id(name)
        with self.hub.watching(job_id) as signal, self._metrics.watchers.track_inprogress():
            job = await self.get(name)
            after = tokens.resume_after(token, job_id, job.last_sequence)
            yield tokens.resume_token(job_id, after), job
            spoke = time.monotonic()
            while True:
                signal.clear()
                read = await self.call(self.store.events, job_id, after, _EVENTS)
                if read is None:
                    raise await self._unknown(job_id)
                job, events = read
                for event in events:
                    after = event.sequence
                    yield tokens.resume_token(job_id, after), event
                    spoke = time.monotonic()
                if after >= job.last_sequence and job.state in states.ENDED:
                    return
                if self.hub.closed:
                    raise stopping()
                if len(events) == _EVENTS:
                    continue
                try:
                    await asyncio.wait_for(signal.wait(), max(0.0, spoke + self._keep_alive_seconds - time.monotonic()))
                except TimeoutError:
                    yield tokens.resume_token(job_id, after), None
                    spoke = time.monotonic()

    async def artifacts(self, name: str) -> Sequence[ArtifactRecord]:
        """Return the artifacts of a job by path, none before it has ended.

        An analysis that has added its sections returns the artifacts of the job that it analyses.
        """
        job = await self._with_artifacts(await self.get(name))
        return await self.call(self.store.artifacts, job.id)

    async def download(
        self, name: str, path: str, offset: int, length: int = 0
    ) -> AsyncGenerator[tuple[ArtifactRecord | None, bytes], None]:
        """Yield an artifact's bytes in chunks; the artifact's record comes with the first chunk, None with the others.

        Parameters
        ----------
        name : str
            The job's resource name.
        path : str
            The artifact's path below the job.
        offset : int
            First byte, from 0.
        length : int
            Number of bytes; 0 for all that follow.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE (``offset`` behind the end) or DATA_LOSS (the file is gone).
        """
        if not path or path.startswith("/") or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
            what = f"{path[:200]!r} is not a path below the job, such as report.html or stimuli/one.png; ListArtifacts has them"
            raise invalid("path", what)
        job, artifact = await self._artifact(name, path)
        if offset < 0:
            raise invalid("offset", f"{offset} is below zero")
        if length < 0:
            raise invalid("length", f"{length} is below zero; 0 is all that follow")
        if offset > artifact.size:
            what = f"offset {offset} is behind the end of {path}, which has {artifact.size} bytes"
            raise ServiceError(grpc.StatusCode.OUT_OF_RANGE, what, reason="OFFSET_BEYOND_END")
        try:
            file = await self.call(self.files.open_artifact, job.id, job.edition, path)
        except FileNotFoundError:
            what = f"{path} of {name} is gone from the data folder"
            raise ServiceError(grpc.StatusCode.DATA_LOSS, what, reason="ARTIFACT_GONE") from None
        with contextlib.closing(file):
            await self.call(file.seek, offset)
            left = min(length or artifact.size, artifact.size - offset)
            data = await self.call(file.read, min(CHUNK_BYTES, left))
            yield artifact, data
            while (left := left - len(data)) > 0 and (data := await self.call(file.read, min(CHUNK_BYTES, left))):
                yield None, data

    async def _with_artifacts(self, job: JobRecord) -> JobRecord:
        """Return the job that holds the artifacts of ``job``: the analysed job, if ``job`` has added its sections to it."""
        if not job.analysis_of or job.state not in states.ENDED - {states.FAILED}:
            return job
        return await self.call(self.store.get, job.analysis_of) or job

    async def _artifact(self, name: str, path: str) -> tuple[JobRecord, ArtifactRecord]:
        """Return a job and an artifact of its present edition."""
        while True:
            job = await self._with_artifacts(await self.get(name))
            artifact = await self.call(self.store.artifact, job.id, path)
            if artifact is None:
                raise await self._no_artifact(job, path)
            now = await self.call(self.store.get, job.id)
            if now is None or now.edition == job.edition:  # else an analysis has ended in between
                return job, artifact

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of ``function``, run in a thread.

        Raises
        ------
        ServiceError
            The store is full, can't be reached, or refused a quota or a request id.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
        except StorageFull as error:
            raise exhausted("nothing was changed", str(error)) from error
        except StorageGone as error:
            raise unreachable(error) from error
        except OverQuota as error:
            raise over_quota(current_principal.get().owner, error.what, error.limit) from None
        except RequestSpent as error:
            what = f"request_id {error} has created a job that was deleted since; give each new job a request_id of its own"
            raise already_exists(what, reason="REQUEST_ID_SPENT") from None

    async def _unknown(self, job_id: str) -> ServiceError:
        near = await self.call(self.store.ids_like, job_id[:4], current_principal.get().sees, 2) if len(job_id) >= 4 else []
        hint = f"; did you mean {tokens.job_name(near[0])}?" if len(near) == 1 else "; ListJobs (actmax list) has them all"
        return not_found(f"there is no job {tokens.job_name(job_id)[:100]}{hint}", reason="NO_SUCH_JOB")

    async def _no_artifact(self, job: JobRecord, path: str) -> ServiceError:
        if job.state not in states.ENDED:
            what = f"{tokens.job_name(job.id)} is {states.name(job.state)}; it has artifacts once it has ended"
            return not_found(what, reason="NO_SUCH_ARTIFACT")
        return not_found(f"{tokens.job_name(job.id)} has no artifact {path[:200]!r}; ListArtifacts has them all", reason="NO_SUCH_ARTIFACT")


def check_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return labels sorted by key, as the store keeps them.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: too many labels, a key of the wrong form, or a value that is too long.
    """
    if len(labels) > _LABELS_MAX:
        raise invalid("labels", f"{len(labels)} are too many; {_LABELS_MAX} work")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key):
            raise invalid("labels", f"{key[:100]!r} is no key: 1 to 63 letters, digits, '_', '-', '.' and '/' work")
        if len(value) > 255 or "\0" in value:
            raise invalid(f"labels[{key!r}]", "a value has at most 255 characters, and no null among them")
    return tuple(sorted(labels.items()))
