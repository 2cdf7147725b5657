"""The JobStore contract. ``tests/server/job_store_contract.py`` holds every implementation to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from .records import ArtifactRecord, Change, EventRecord, Filter, JobRecord, NewJob


class StorageFull(OSError):
    """The store has no room for a write; nothing was written."""


class StorageGone(OSError):
    """The store can't be reached; a retry may succeed."""


class OverQuota(Exception):
    """An owner has reached a quota; ``what`` is "queued" or "stored_bytes"."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the limit of {limit} {what} is reached")
        self.what = what
        self.limit = limit


class AnalysedJobGone(Exception):
    """The analysed job was deleted."""


class RequestSpent(Exception):
    """The job that a request had created was deleted."""


class JobStore(Protocol):
    """Keeps jobs, their events and the list of their artifacts; any number of servers may share one.

    Guarantees: a call that returned is on disk; a call that raised changed nothing (except ``StorageGone``, after which a write may
    have been made); calls may come from any thread; every change of a job's state adds exactly one event, in the same
    transaction; sequences of a job's events grow and are never used twice; only the newest progress of each attempt is kept;
    writes of an attempt that is not the job's present one change nothing; a waiting job is claimed once.

    Raises
    ------
    StorageFull
        From any call that writes.
    StorageGone
        From any call.
    """

    def create(self, job: NewJob) -> tuple[JobRecord, bool]:
        """Store a job with its first event, or find the job that its owner's ``request_id`` has created before.

        Returns
        -------
        JobRecord
            The job.
        bool
            Whether this call created it.

        Raises
        ------
        OverQuota, RequestSpent
            Nothing was stored.
        """
        ...

    def by_request(self, owner: str, request_id: str) -> JobRecord | None:
        """Return the job that a request of ``owner`` created; None if there is none.

        Raises
        ------
        RequestSpent
            The job was deleted.
        """
        ...

    def get(self, job_id: str) -> JobRecord | None:
        """Return a job; None if there is none."""
        ...

    def page(self, which: Filter = Filter(), *, before: int | None = None, limit: int) -> list[JobRecord]:  # noqa: B008 - frozen
        """Return jobs, newest first.

        Parameters
        ----------
        which : Filter
            The jobs to include.
        before : int or None
            Bound of the jobs' numbers, excluded; None for no bound.
        limit : int
            Most jobs.
        """
        ...

    def ids_like(self, prefix: str, owner: str | None, limit: int) -> list[str]:
        """Return at most ``limit`` identifiers that begin with ``prefix``, newest first; ``owner`` None for all owners."""
        ...

    def claim(
        self, states: Collection[int], change: Callable[[JobRecord], Change], *, excluding: Collection[str] = (), running: int = 0
    ) -> JobRecord | None:
        """Apply a change to the waiting job that is next, and return the changed job; None if no job waits.

        Next is the job of highest priority; among equals, one of the owner with the fewest held jobs; among equals, the oldest. An analysis
        waits while another analysis of the same job is held.

        Parameters
        ----------
        states : collection of int
            States of waiting jobs; jobs that a server holds are passed over.
        change : callable
            Returns the change for a job.
        excluding : collection of str
            Identifiers of jobs to pass over.
        running : int
            Owners with so many held jobs are passed over; 0 for no limit.
        """
        ...

    def change(self, job_id: str, change: Change) -> JobRecord | None:
        """Change a job's state and return the job; None, and no change, if ``change`` does not apply.

        The artifacts of an analysis become those of the analysed job, in the same transaction.

        Raises
        ------
        AnalysedJobGone
            The analysed job was deleted; nothing was changed.
        """
        ...

    def add_progress(self, job_id: str, attempt: int, states: Collection[int], payload: bytes, time: int) -> bool:
        """Replace the attempt's progress; return False if the job is at another attempt or in none of ``states``.

        Parameters
        ----------
        job_id : str
            The job.
        attempt : int
            The attempt.
        states : collection of int
            States in which progress is accepted.
        payload : bytes
            ``actmax.v1.Progress``.
        time : int
            Time of the event, in microseconds since 1970.
        """
        ...

    def delete(self, job_id: str, allowed: Collection[int], version: int | None = None) -> bool:
        """Delete a job, list its files as garbage, and return whether that was done.

        Parameters
        ----------
        job_id : str
            The job. One that a server holds is not deleted.
        allowed : collection of int
            States in which the job may be deleted.
        version : int or None
            The version that the job must have; None for any.
        """
        ...

    def garbage(self) -> list[str]:
        """Return the identifiers of deleted jobs whose files may still exist."""
        ...

    def collected(self, job_id: str) -> None:
        """Record that the files of a deleted job are removed."""
        ...

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobRecord, Sequence[EventRecord]] | None:
        """Return a job and its events after a sequence, at one instant; None if there is no such job.

        Parameters
        ----------
        job_id : str
            The job.
        after : int
            Sequence of the last event to leave out; 0 for all.
        limit : int
            Most events.
        """
        ...

    def sequences(self, job_ids: Collection[str]) -> Mapping[str, int]:
        """Return the sequence of each job's newest event; deleted jobs are left out."""
        ...

    def counts(self) -> Mapping[int, int]:
        """Return the number of jobs in each state."""
        ...

    def artifacts(self, job_id: str) -> Sequence[ArtifactRecord]:
        """Return a job's artifacts, sorted by path."""
        ...

    def artifact(self, job_id: str, path: str) -> ArtifactRecord | None:
        """Return a job's artifact by its path; None if there is none."""
        ...

    def beat(self, server: str, address: str, *, first: bool = False) -> bool:
        """Raise a server's beat; return False if the server's row was removed, because another server took it for dead.

        Parameters
        ----------
        server : str
            The server's identifier.
        address : str
            The server's address.
        first : bool
            Whether this registers the server.
        """
        ...

    def beats(self) -> Mapping[str, int]:
        """Return the beat of each registered server."""
        ...

    def dismiss(self, server: str) -> None:
        """Remove a server's row."""
        ...

    def held(self, servers: Collection[str] | None = None) -> list[JobRecord]:
        """Return the jobs that some servers hold; those of all servers if None."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...
