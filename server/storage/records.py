"""Rows of the store, as plain data. Times are microseconds since 1970 (UTC), messages are serialised protos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EventKind = Literal["state", "progress"]


@dataclass(frozen=True)
class JobRecord:
    """A job.

    Attributes
    ----------
    number : int
        Grows with each job: the order of creation.
    id : str
        The last part of the job's resource name.
    spec : bytes
        ``actmax.v1.JobSpec``.
    state : int
        ``actmax.v1.JobState``.
    attempt : int
        Number of the present attempt, 0 before the first. A write of an earlier attempt is refused.
    crashes : int
        Workers that died in a row without progress of the job.
    deaths : int
        Servers that died in a row while they ran the job, without progress of it.
    progress : bytes
        The newest ``actmax.v1.Progress``.
    last_sequence : int
        Sequence of the job's newest event.
    error_code, error_message : str
        Why the job failed; empty if it did not.
    create_time, start_time, end_time : int
        0 before that time.
    owner : str
        Who created the job; empty on a server without credentials.
    priority : int
        Jobs with a higher one start first.
    version : int
        Grows with every change except progress; the job's etag.
    holder : str
        The server whose worker runs the job; empty if none does.
    suspending : bool
        Whether the job's worker was asked to stop at a checkpoint.
    evaluations : int
        Evaluations when a worker or its server last died: deaths in a row count only without further evaluations.
    size : int
        Bytes of the job's artifacts.
    labels : tuple of (str, str)
        Keys and values, sorted by key.
    analysis_of : str
        The ``id`` of the ended job that this job analyses; empty for a job with searches.
    added_edition : str
        The edition of the job's artifacts that the last analysis published; empty without analyses.
    """

    number: int
    id: str
    spec: bytes
    state: int
    attempt: int
    crashes: int
    progress: bytes
    last_sequence: int
    error_code: str
    error_message: str
    create_time: int
    start_time: int
    end_time: int
    owner: str = ""
    priority: int = 0
    version: int = 1
    holder: str = ""
    suspending: bool = False
    evaluations: int = 0
    deaths: int = 0
    size: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    analysis_of: str = ""
    added_edition: str = ""

    @property
    def edition(self) -> str:
        """The edition under which the job's present artifacts are published."""
        return self.added_edition or str(self.attempt)


@dataclass(frozen=True)
class Quota:
    """Limits of one owner: waiting jobs, and bytes of artifacts; 0 is no limit."""

    queued: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True)
class NewJob:
    """A job to be stored, with the ``actmax.v1.StateChange`` of its first event; ``request_id`` is its idempotency key, empty for none."""

    id: str
    spec: bytes
    state: int
    progress: bytes
    first_event: bytes
    create_time: int
    request_id: str = ""
    owner: str = ""
    priority: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    quota: Quota = Quota()
    analysis_of: str = ""


@dataclass(frozen=True)
class Filter:
    """The jobs that a list includes; an empty or None field includes all. Times in microseconds, ``since`` included, ``until`` excluded."""

    states: frozenset[int] = frozenset()
    labels: tuple[tuple[str, str], ...] = ()
    owner: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class EventRecord:
    """An event; ``payload`` is an ``actmax.v1.StateChange`` or ``actmax.v1.Progress``."""

    sequence: int
    attempt: int
    time: int
    kind: EventKind
    payload: bytes


@dataclass(frozen=True)
class ArtifactRecord:
    """A file that a job wrote; ``path`` below the job, with forward slashes; ``size`` in bytes."""

    path: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class Change:
    """A change of state, applied only if the job's state is in ``allowed`` and ``attempt`` and ``version``, where given, match.

    Attributes
    ----------
    to : int
        The state afterwards.
    allowed : frozenset of int
        States that the job may come from.
    payload : bytes
        ``actmax.v1.StateChange`` for the event.
    time : int
        Time of the change.
    attempt : int or None
        Fence: the attempt that makes the change.
    version : int or None
        The version of the job on which the change was decided.
    starts, ends : bool
        Whether a worker starts (raises ``attempt``); whether the job ends.
    holder : str or None
        The server that runs the job afterwards; None leaves it unchanged.
    suspending : bool or None
        Whether the job's worker is asked to stop; None leaves it unchanged.
    crashes, deaths, evaluations : int or None
        Deaths of workers and of servers in a row, and the evaluations since which they count; None leaves each unchanged.
    error_code, error_message : str
        Why the job failed; empty if it did not.
    artifacts : tuple of ArtifactRecord
        All artifacts of the job. Those of an analysis replace the artifacts of the analysed job.
    """

    to: int
    allowed: frozenset[int]
    payload: bytes
    time: int
    attempt: int | None = None
    version: int | None = None
    starts: bool = False
    ends: bool = False
    holder: str | None = None
    suspending: bool | None = None
    crashes: int | None = None
    deaths: int | None = None
    evaluations: int | None = None
    error_code: str = ""
    error_message: str = ""
    artifacts: tuple[ArtifactRecord, ...] = ()
