"""A blocking client of an actmax server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from actmax.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc

from ...wire.errors import DamagedArtifact, WrongState
from ...wire.retry import BROKEN_OFF, Backoff, RetryPolicy, pause_after
from ...wire.status import from_rpc
from ...wire.transport import DEFAULT_ADDRESS, Credentials
from ..whole_files import whole_file
from . import jobfile
from .artifacts import Receipt, destinations, is_complete
from .catalog import CatalogClient

Spec = job_pb2.JobSpec | Mapping[str, Any]

_ENDED = frozenset({job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED})
# A stream is reopened after this time, so that a peer that vanished silently is detected.
_STREAM_SECONDS = 300.0
_FETCHES = 5
"""Most times that artifacts are fetched, if analyses of the job end meanwhile."""


class Client(CatalogClient):
    """A connection to a server; use it in a ``with`` statement, or call :meth:`close`.

    Repeatable calls are retried while the server is unavailable, and when it asks for a later retry.

    Parameters
    ----------
    address : str
        ``host:port``, or ``grpcs://host:port`` for TLS.
    credentials : Credentials, optional
        Token and files for a server that requires them; from the environment by default (``ACTMAX_TOKEN``, ``ACTMAX_CA``, …).
    timeout : float
        Seconds that one call may take; three times as long for :meth:`create` and :meth:`describe_target`, which load models.
    patience : float
        Seconds for which a call is retried while the server cannot be reached.
    stream_patience : float
        The same for :meth:`watch` and downloads, once they have begun.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: Credentials | None = None,
        timeout: float = 60.0,
        patience: float = 5.0,
        stream_patience: float = 60.0,
    ) -> None:
        super().__init__(address, credentials=credentials, timeout=timeout, patience=patience)
        self._stream_policy = RetryPolicy(stream_patience)
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)

    def create(
        self, spec: Spec, request_id: str | None = None, *, labels: Mapping[str, str] | None = None, priority: int = 0
    ) -> job_pb2.Job:
        """Queue a job and return it.

        Parameters
        ----------
        spec : JobSpec or mapping
            The job; a mapping has the form of a job file.
        request_id : str, optional
            A UUID; a repeat with the same one returns the first call's job. A new one by default.
        labels : mapping of str to str, optional
            Labels by which the job can be found.
        priority : int
            Jobs with a higher one start first; -100 to 100.

        Raises
        ------
        InvalidInput
            If the job is wrong; ``violations`` names its fields.
        """
        if not isinstance(spec, job_pb2.JobSpec):
            spec = jobfile.from_plain(spec)
        key = request_id or str(uuid.uuid4())
        request = job_service_pb2.CreateJobRequest(spec=spec, request_id=key, labels=labels, priority=priority)
        return self._call(self._jobs.CreateJob, request, timeout=self._loading_timeout)

    def analyse(
        self,
        name: str,
        analyses: Sequence[str | Mapping[str, Any]],
        request_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> job_pb2.Job:
        """Queue further analyses of a job that has ended, and return the job that runs them.

        Once it has ended (:meth:`wait`, :meth:`watch`), the results of ``name`` hold its sections; :meth:`fetch` downloads them.

        Parameters
        ----------
        name : str
            Name of the ended job.
        analyses : sequence of str or mapping
            The analyses: each a name, or a mapping of ``name`` and ``options``, as in a job file.
        request_id, labels, priority
            See :meth:`create`.

        Raises
        ------
        InvalidInput
            If an analysis is wrong; ``violations`` names its fields, such as ``analyses[0].options.top``.
        WrongState
            If the job has not ended, or has no results.
        """
        asked = jobfile.from_plain({"analyses": list(analyses)}, source="the analyses").analyses
        key = request_id or str(uuid.uuid4())
        request = job_service_pb2.AnalyseJobRequest(name=name, analyses=asked, request_id=key, labels=labels, priority=priority)
        return self._call(self._jobs.AnalyseJob, request, timeout=self._loading_timeout)

    def get(self, name: str) -> job_pb2.Job:
        """Return a job's present state; ``name`` is of the form ``jobs/...``.

        Raises
        ------
        NotFound
            If there is no such job.
        """
        return self._call(self._jobs.GetJob, job_service_pb2.GetJobRequest(name=name))

    def watch(self, name: str, resume_token: str = "") -> Iterator[job_service_pb2.WatchJobResponse]:
        """Yield a snapshot of a job, then its events, until it has ended.

        After a lost connection the watch continues with another snapshot and the next event; keep-alives are not yielded.

        Parameters
        ----------
        name : str
            The job's name.
        resume_token : str
            Token of the last response seen; only later events are yielded.

        Raises
        ------
        WrongState
            If the server repeatedly closes the watch before the job has ended.
        """
        backoff = Backoff(self._stream_policy)
        ended = False
        while True:
            failure: grpc.RpcError | None = None
            pause: float | None = None
            request = job_service_pb2.WatchJobRequest(name=name, resume_token=resume_token)
            call = self._jobs.WatchJob(request, timeout=_STREAM_SECONDS)
            try:
                for response in call:
                    resume_token = response.resume_token or resume_token
                    ended = ended or state_in(response) in _ENDED
                    content = response.WhichOneof("content")
                    # The snapshot comes at each reconnection, so it is no sign that anything moves.
                    if content != "snapshot":
                        backoff.reset()
                    if content in ("snapshot", "event"):
                        yield response
            except grpc.RpcError as error:
                failure = error
                pause = pause_after(error, backoff, BROKEN_OFF)
            finally:
                call.cancel()
            if failure is None:
                if ended:
                    return
                pause = backoff.next()
            if pause is None:
                if failure is not None:
                    raise from_rpc(failure, self.address) from None
                raise WrongState(f"the server keeps closing the watch of {name} before the job has ended")
            time.sleep(pause)

    def wait(self, name: str) -> job_pb2.Job:
        """Wait until the job has ended, successfully or not, and return it."""
        for _ in self.watch(name):
            pass
        return self.get(name)

    def cancel(self, name: str) -> job_pb2.Job:
        """Request a job's end, keeping its results, and return the job.

        Raises
        ------
        WrongState
            If it has ended already.
        """

        def cancelled(code: grpc.StatusCode) -> job_pb2.Job | None:
            job = self.get(name) if code is grpc.StatusCode.FAILED_PRECONDITION else None
            return job if job is not None and job.state in (job_pb2.JOB_STATE_CANCELLING, job_pb2.JOB_STATE_CANCELLED) else None

        return self._call_once(self._jobs.CancelJob, job_service_pb2.CancelJobRequest(name=name), cancelled)

    def suspend(self, name: str, etag: str = "") -> job_pb2.Job:
        """Request that a job waits at a checkpoint, and return it; it is RUNNING and ``suspending`` until the checkpoint is written.

        Parameters
        ----------
        name : str
            The job's name.
        etag : str
            The job must still have this etag; empty for any.

        Raises
        ------
        WrongState
            If it is ending or has ended; or if it has another etag.
        """
        return self._call(self._jobs.SuspendJob, job_service_pb2.SuspendJobRequest(name=name, etag=etag))

    def resume(self, name: str, etag: str = "") -> job_pb2.Job:
        """Queue a suspended or failed job again, to continue from its last checkpoint, and return it.

        Parameters
        ----------
        name : str
            The job's name.
        etag : str
            The job must still have this etag; empty for any.

        Raises
        ------
        WrongState
            If it is ending or has ended otherwise; or if it has another etag.
        """
        return self._call(self._jobs.ResumeJob, job_service_pb2.ResumeJobRequest(name=name, etag=etag))

    def delete(self, name: str, etag: str = "") -> None:
        """Delete a job that has ended, is suspended or never ran, with all its files.

        Parameters
        ----------
        name : str
            The job's name.
        etag : str
            The job must still have this etag; empty for any.

        Raises
        ------
        WrongState
            If it runs; or if it has another etag.
        """

        def deleted(code: grpc.StatusCode) -> empty_pb2.Empty | None:
            return empty_pb2.Empty() if code is grpc.StatusCode.NOT_FOUND else None

        self._call_once(self._jobs.DeleteJob, job_service_pb2.DeleteJobRequest(name=name, etag=etag), deleted)

    def artifacts(self, name: str) -> tuple[job_pb2.Artifact, ...]:
        """Return the files that a job has written."""
        return tuple(self._call(self._jobs.ListArtifacts, job_service_pb2.ListArtifactsRequest(name=name)).artifacts)

    def download(self, name: str, path: str) -> bytes:
        """Return the bytes of one artifact.

        Raises
        ------
        DamagedArtifact
            If the bytes differ from the server's announcement.
        """
        parts: list[bytes] = []
        self._receive(name, path, parts.append)
        return b"".join(parts)

    def fetch(self, name: str, folder: str | Path) -> tuple[Path, ...]:
        """Download all artifacts of a job into a folder.

        Complete files are kept; the others appear whole or not at all.

        Parameters
        ----------
        name : str
            The job's name.
        folder : path
            Created if missing.

        Returns
        -------
        tuple of Path
            All files of the job, also those that existed before.

        Raises
        ------
        UnsafePath
            If an artifact's path leads out of the folder; nothing is written then.
        DamagedArtifact
            If bytes differ from the announcement; or if analyses of the job ended repeatedly meanwhile.
        """
        folder = Path(folder)
        artifacts = self.artifacts(name)
        for _ in range(_FETCHES):
            paths = destinations(folder, artifacts)
            folder.mkdir(parents=True, exist_ok=True)
            for artifact, path in zip(artifacts, paths, strict=True):
                if not is_complete(path, artifact):
                    with whole_file(path) as temporary, temporary.open("xb") as file:
                        self._receive(name, artifact.path, file.write)
            there, artifacts = artifacts, self.artifacts(name)
            if there == artifacts:
                return tuple(paths)
        raise DamagedArtifact(f"the artifacts of {name} changed {_FETCHES} times while they were fetched; fetch them again")

    def list(
        self, states: Sequence[job_pb2.JobState | str] = (), page_size: int = 0, labels: Mapping[str, str] | None = None
    ) -> Iterator[job_pb2.Job]:
        """Yield jobs, newest first, fetched page by page.

        Parameters
        ----------
        states : sequence of JobState or str
            States to include; empty for all.
        page_size : int
            Jobs in one page; 0 for the server's default.
        labels : mapping of str to str, optional
            Labels that the jobs have.
        """
        token = ""
        while True:
            request = job_service_pb2.ListJobsRequest(page_size=page_size, page_token=token, states=states, labels=labels)
            page = self._call(self._jobs.ListJobs, request)
            yield from page.jobs
            if not page.next_page_token or page.next_page_token == token:
                return
            token = page.next_page_token

    def _receive(self, name: str, path: str, write: Callable[[bytes], object]) -> None:
        """Pass the bytes of an artifact to ``write``, continuing after lost connections, and verify them."""
        receipt = Receipt(path)
        backoff = Backoff(self._stream_policy)
        while True:
            request = job_service_pb2.DownloadArtifactRequest(name=name, path=path, offset=receipt.received)
            call = self._jobs.DownloadArtifact(request, timeout=_STREAM_SECONDS)
            try:
                for response in call:
                    if response.HasField("artifact"):
                        receipt.announce(response.artifact)
                    if response.data:
                        backoff.reset()
                        receipt.add(response.data)
                        write(response.data)
                receipt.check()
                return
            except grpc.RpcError as error:
                pause = pause_after(error, backoff, BROKEN_OFF)
                if pause is None:
                    raise from_rpc(error, self.address) from None
            finally:
                call.cancel()
            time.sleep(pause)


def state_in(response: job_service_pb2.WatchJobResponse) -> job_pb2.JobState:
    """Return the job's state in a response of WatchJob; UNSPECIFIED if it has none."""
    if response.HasField("snapshot"):
        return response.snapshot.state
    return response.event.state_change.state
