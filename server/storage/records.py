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
        The last part of its name.
    spec : bytes
        ``actmax.v1.JobSpec``.
    state : int
        ``actmax.v1.JobState``.
    attempt : int
        Times that a worker was started on it. A write of an earlier attempt is refused.
    crashes : int
        Workers of it that died in a row with the job no further.
    deaths : int
        Servers that died in a row while they ran it, with the job no further.
    progress : bytes
        The newest ``actmax.v1.Progress``.
    last_sequence : int
        Sequence of its newest event.
    error_code, error_message : str
        Why it failed; empty unless it did.
    create_time, start_time, end_time : int
        0 where that has not come yet.
    owner : str
        Who created it; empty on a server without credentials.
    priority : int
        Jobs with a higher one start first.
    version : int
        Grows with every change but progress: what an etag is made of.
    holder : str
        The server that has a worker on it; empty where none has.
    suspending : bool
        Its worker was asked to stop at a checkpoint.
    evaluations : int
        How far it was when a worker or its server last died: crashes and deaths count only where it has got no further.
    size : int
        Bytes of its artifacts.
    labels : tuple of (str, str)
        By key.
    analysis_of : str
        The ``id`` of the ended job that this one analyses; empty for others.
    added_edition : str
        The edition of its artifacts that an analysis has made last; empty where none has.
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
        """The edition under which its present artifacts are published."""
        return self.added_edition or str(self.attempt)


@dataclass(frozen=True)
class Quota:
    """What one owner may have; 0 is no limit."""

    queued: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True)
class NewJob:
    """A job to be kept, with the ``actmax.v1.StateChange`` of its first event, and its idempotency key where it has one."""

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
    """Which jobs a list has; what is empty or None leaves all in. Times in microseconds, ``since`` included and ``until`` not."""

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
    """A file that a job made; ``path`` with forward slashes, below the job."""

    path: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class Change:
    """A change of state, made only where the job is in one of ``allowed`` (and at ``attempt`` and ``version``, where given).

    Attributes
    ----------
    to : int
        The state afterwards.
    allowed : frozenset of int
        States that it may come from.
    payload : bytes
        ``actmax.v1.StateChange`` for the event.
    time : int
        When.
    attempt : int or None
        Fence: the attempt on whose behalf this is done.
    version : int or None
        The version of the job that this was decided on.
    starts, ends : bool
        A worker starts on it (raises ``attempt``); the job has ended.
    holder : str or None
        The server that has it from now on; None leaves that as it is.
    suspending : bool or None
        Whether its worker is asked to stop; None leaves that as it is.
    crashes, deaths, evaluations : int or None
        How often workers, and servers, died with the job no further than so many evaluations; None leaves that as it is.
    artifacts : tuple of ArtifactRecord
        All artifacts of the job. Where it analyses another job, they take the place of that job's.
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
