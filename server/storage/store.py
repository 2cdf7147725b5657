"""The JobStore contract. ``tests/server/job_store_contract.py`` holds every implementation to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from .records import ArtifactRecord, Change, EventRecord, Filter, JobRecord, NewJob


class StorageFull(OSError):
    """The store has no room for what was to be written; nothing of it was."""


class StorageGone(OSError):
    """The store can't be reached; it is worth trying again."""


class OverQuota(Exception):
    """An owner has all that a quota allows; ``what`` is "queued" or "stored_bytes"."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the limit of {limit} {what} is reached")
        self.what = what
        self.limit = limit


class AnalysedJobGone(Exception):
    """The job that another one analyses was deleted."""


class RequestSpent(Exception):
    """The job that a request had created was deleted."""


class JobStore(Protocol):
    """Keeps jobs, their events and the list of their artifacts; any number of servers may share one.

    Guarantees: a call that returned is on disk; a call that raised changed nothing (but ``StorageGone``, after which a write may
    have been made); calls may come from any thread; every change of a job's state adds exactly one event, in the same
    transaction; sequences of a job's events grow and are never used twice; of progress only the newest of each attempt is kept;
    writes of an attempt that is not the job's present one change nothing; a waiting job is claimed once.

    Raises
    ------
    StorageFull
        From any call that writes.
    StorageGone
        From any call.
    """

    def create(self, job: NewJob) -> tuple[JobRecord, bool]:
        """Keep a job with its first event; or, where its owner's ``request_id`` is known, return that job and False.

        Raises
        ------
        OverQuota, RequestSpent
            Nothing was kept.
        """
        ...

    def by_request(self, owner: str, request_id: str) -> JobRecord | None:
        """The job that a request created.

        Raises
        ------
        RequestSpent
            It was deleted.
        """
        ...

    def get(self, job_id: str) -> JobRecord | None:
        """A job."""
        ...

    def page(self, which: Filter = Filter(), *, before: int | None = None, limit: int) -> list[JobRecord]:  # noqa: B008 - frozen
        """Jobs, newest first, with numbers below ``before``."""
        ...

    def ids_like(self, prefix: str, owner: str | None, limit: int) -> list[str]:
        """Identifiers that begin with ``prefix``, newest first."""
        ...

    def claim(
        self, states: Collection[int], change: Callable[[JobRecord], Change], *, excluding: Collection[str] = (), running: int = 0
    ) -> JobRecord | None:
        """Make ``change`` of the job that is next among those in ``states`` that no server holds.

        That is the one of highest priority; among those, one of the owner with the fewest held jobs; among those, the oldest. Owners
        with ``running`` held jobs (0: any number) wait, and so does an analysis while another one of the same job is held.
        """
        ...

    def change(self, job_id: str, change: Change) -> JobRecord | None:
        """Change a job's state; None, and no change, where ``change`` does not apply.

        The artifacts of an analysis become those of the job that it analyses, in the same transaction.

        Raises
        ------
        AnalysedJobGone
            There is no such job any more; nothing was changed.
        """
        ...

    def add_progress(self, job_id: str, attempt: int, states: Collection[int], payload: bytes, time: int) -> bool:
        """Replace the attempt's progress; False where the job is not at that attempt or in none of ``states``."""
        ...

    def delete(self, job_id: str, allowed: Collection[int], version: int | None = None) -> bool:
        """Forget a job that is in one of ``allowed`` and held by no server, and list its files as garbage; whether it was done."""
        ...

    def garbage(self) -> list[str]:
        """Identifiers of deleted jobs whose files may still be there."""
        ...

    def collected(self, job_id: str) -> None:
        """Those files are gone."""
        ...

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobRecord, Sequence[EventRecord]] | None:
        """A job and its events with sequences above ``after``, as they stood at one instant."""
        ...

    def sequences(self, job_ids: Collection[str]) -> Mapping[str, int]:
        """The sequence of the newest event of each of some jobs; deleted ones are left out."""
        ...

    def counts(self) -> Mapping[int, int]:
        """The number of jobs in each state."""
        ...

    def artifacts(self, job_id: str) -> Sequence[ArtifactRecord]:
        """What a job made, by path."""
        ...

    def artifact(self, job_id: str, path: str) -> ArtifactRecord | None:
        """One of them."""
        ...

    def beat(self, server: str, address: str, *, first: bool = False) -> bool:
        """Show that a server lives, ``first`` of all registering it; False where it was taken for dead and its row removed."""
        ...

    def beats(self) -> Mapping[str, int]:
        """How often each registered server has shown that."""
        ...

    def dismiss(self, server: str) -> None:
        """Remove a server's row."""
        ...

    def held(self, servers: Collection[str] | None = None) -> list[JobRecord]:
        """Jobs that some servers hold; all that are held by anyone where None."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
