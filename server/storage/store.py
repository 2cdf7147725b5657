"""The JobStore contract. ``tests/server/job_store_contract.py`` holds every implementation to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from .records import ArtifactRecord, Change, EventRecord, JobRecord, NewJob


class StorageFull(OSError):
    """The store has no room for what was to be written; nothing of it was."""


class JobStore(Protocol):
    """Keeps jobs, their events and the list of their artifacts.

    Guarantees: a call that returned is on disk; a call that raised changed nothing; calls may come from any thread; every
    change of a job's state adds exactly one event, in the same transaction; sequences of a job's events grow and are never
    used twice; of progress only the newest of each attempt is kept; writes of an attempt that is not the job's present one
    change nothing.

    Raises
    ------
    StorageFull
        From any call that writes.
    """

    def create(self, job: NewJob) -> tuple[JobRecord, bool]:
        """Keep a job with its first event; or, where its ``request_id`` is known, return that job and False."""
        ...

    def by_request(self, request_id: str) -> JobRecord | None:
        """The job that a request created."""
        ...

    def get(self, job_id: str) -> JobRecord | None:
        """A job."""
        ...

    def page(self, *, states: Collection[int] = (), before: int | None = None, limit: int) -> list[JobRecord]:
        """Jobs, newest first, of any of ``states`` (all when empty), with numbers below ``before``."""
        ...

    def oldest(self, states: Collection[int], *, excluding: Collection[str] = ()) -> JobRecord | None:
        """The first created job in one of ``states``."""
        ...

    def ids_like(self, prefix: str, limit: int) -> list[str]:
        """Identifiers that begin with ``prefix``, newest first."""
        ...

    def change(self, job_id: str, change: Change) -> JobRecord | None:
        """Change a job's state; None, and no change, where ``change`` does not apply."""
        ...

    def add_progress(self, job_id: str, attempt: int, states: Collection[int], payload: bytes, time: int) -> bool:
        """Replace the attempt's progress; False where the job is not at that attempt or in none of ``states``."""
        ...

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobRecord, Sequence[EventRecord]] | None:
        """A job and its events with sequences above ``after``, as they stood at one instant."""
        ...

    def artifacts(self, job_id: str) -> Sequence[ArtifactRecord]:
        """What a job made, by path."""
        ...

    def artifact(self, job_id: str, path: str) -> ArtifactRecord | None:
        """One of them."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
