"""The JobStore in a SQL database: SQLite in WAL mode by default."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event
import sqlalchemy.exc

from .records import ArtifactRecord, Change, EventRecord, JobRecord, NewJob
from .store import StorageFull
from .tables import artifacts, events, jobs, metadata, requests


def sqlite_url(path: Path) -> sa.URL:
    """The URL of a database file."""
    return sa.URL.create("sqlite", database=str(path))


class SqlJobStore:
    """A JobStore behind one SQLAlchemy URL.

    Parameters
    ----------
    url : sqlalchemy.URL or str
        Where the database is; its tables are made where they are missing.
    """

    def __init__(self, url: sa.URL | str) -> None:
        self.engine = sa.create_engine(url)
        if self.engine.dialect.name == "sqlite":
            sqlalchemy.event.listen(self.engine, "connect", _prepare_sqlite)
        # SQLite has one writer at a time; waiting here instead of there never ends in "database is locked".
        self._writing = threading.Lock()
        try:
            with self._write() as connection:
                metadata.create_all(connection)
        except BaseException:
            self.engine.dispose()
            raise

    def create(self, job: NewJob) -> tuple[JobRecord, bool]:
        """See ``JobStore``."""
        with self._write() as connection:
            if job.request_id:
                known = _job(connection, _requested(job.request_id))
                if known is not None:
                    return known, False
            row = {"id": job.id, "spec": job.spec, "state": job.state, "progress": job.progress, "create_time": job.create_time}
            result = connection.execute(jobs.insert().values(row | {"last_sequence": 1}))
            assert result.inserted_primary_key is not None
            number = result.inserted_primary_key[0]
            if job.request_id:
                connection.execute(requests.insert().values(request_id=job.request_id, job=number))
            connection.execute(
                events.insert().values(job=number, sequence=1, attempt=0, time=job.create_time, kind="state", payload=job.first_event)
            )
            created = _job(connection, jobs.c.number == number)
            assert created is not None
            return created, True

    def by_request(self, request_id: str) -> JobRecord | None:
        """See ``JobStore``."""
        with self.engine.connect() as connection:
            return _job(connection, _requested(request_id))

    def get(self, job_id: str) -> JobRecord | None:
        """See ``JobStore``."""
        with self.engine.connect() as connection:
            return _job(connection, jobs.c.id == job_id)

    def page(self, *, states: Collection[int] = (), before: int | None = None, limit: int) -> list[JobRecord]:
        """See ``JobStore``."""
        query = jobs.select().order_by(jobs.c.number.desc()).limit(limit)
        if states:
            query = query.where(jobs.c.state.in_(sorted(states)))
        if before is not None:
            query = query.where(jobs.c.number < before)
        with self.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]

    def oldest(self, states: Collection[int], *, excluding: Collection[str] = ()) -> JobRecord | None:
        """See ``JobStore``."""
        query = jobs.select().where(jobs.c.state.in_(sorted(states)), jobs.c.id.not_in(sorted(excluding)))
        with self.engine.connect() as connection:
            row = connection.execute(query.order_by(jobs.c.number).limit(1)).first()
            return _record(row) if row is not None else None

    def ids_like(self, prefix: str, limit: int) -> list[str]:
        """See ``JobStore``."""
        query = sa.select(jobs.c.id).where(jobs.c.id.startswith(prefix, autoescape=True)).order_by(jobs.c.number.desc())
        with self.engine.connect() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def change(self, job_id: str, change: Change) -> JobRecord | None:
        """See ``JobStore``."""
        values: dict[str, Any] = {"state": change.to, "last_sequence": jobs.c.last_sequence + 1}
        if change.starts:
            values["attempt"] = jobs.c.attempt + 1
            values["start_time"] = sa.case((jobs.c.start_time == 0, change.time), else_=jobs.c.start_time)
        if change.crashed:
            values["crashes"] = jobs.c.crashes + 1
        if change.ends:
            values |= {"end_time": change.time, "error_code": change.error_code, "error_message": change.error_message}
        with self._write() as connection:
            number = self._update(connection, job_id, change.allowed, change.attempt, values)
            if number is None:
                return None
            changed = _job(connection, jobs.c.number == number)
            assert changed is not None
            _add_event(connection, changed, change.time, "state", change.payload)
            if change.artifacts:
                connection.execute(artifacts.insert(), [{"job": number, **asdict(artifact)} for artifact in change.artifacts])
            return changed

    def add_progress(self, job_id: str, attempt: int, states: Collection[int], payload: bytes, time: int) -> bool:
        """See ``JobStore``."""
        with self._write() as connection:
            values = {"progress": payload, "last_sequence": jobs.c.last_sequence + 1}
            number = self._update(connection, job_id, states, attempt, values)
            if number is None:
                return False
            older = (events.c.job == number) & (events.c.attempt == attempt) & (events.c.kind == "progress")
            connection.execute(events.delete().where(older))
            changed = _job(connection, jobs.c.number == number)
            assert changed is not None
            _add_event(connection, changed, time, "progress", payload)
            return True

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobRecord, Sequence[EventRecord]] | None:
        """See ``JobStore``."""
        with self.engine.connect() as connection:
            job = _job(connection, jobs.c.id == job_id)
            if job is None:
                return None
            # The job is read first, so an event that came in between is left for the next call.
            query = events.select().where(events.c.job == job.number, events.c.sequence > after, events.c.sequence <= job.last_sequence)
            rows = connection.execute(query.order_by(events.c.sequence).limit(limit))
            return job, [EventRecord(row.sequence, row.attempt, row.time, row.kind, row.payload) for row in rows]

    def artifacts(self, job_id: str) -> Sequence[ArtifactRecord]:
        """See ``JobStore``."""
        query = artifacts.select().join(jobs).where(jobs.c.id == job_id).order_by(artifacts.c.path)
        with self.engine.connect() as connection:
            return [ArtifactRecord(row.path, row.size, row.sha256, row.media_type) for row in connection.execute(query)]

    def artifact(self, job_id: str, path: str) -> ArtifactRecord | None:
        """See ``JobStore``."""
        query = artifacts.select().join(jobs).where(jobs.c.id == job_id, artifacts.c.path == path)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
            return ArtifactRecord(row.path, row.size, row.sha256, row.media_type) if row is not None else None

    def close(self) -> None:
        """See ``JobStore``."""
        self.engine.dispose()

    @staticmethod
    def _update(connection: sa.Connection, job_id: str, states: Collection[int], attempt: int | None, values: dict[str, Any]) -> int | None:
        # Compare and set in one statement: in any database, of two that race only one matches.
        condition = (jobs.c.id == job_id) & jobs.c.state.in_(sorted(states))
        if attempt is not None:
            condition &= jobs.c.attempt == attempt
        if connection.execute(jobs.update().where(condition).values(values)).rowcount == 0:
            return None
        return connection.execute(sa.select(jobs.c.number).where(jobs.c.id == job_id)).scalar_one()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        try:
            with self._writing, self.engine.begin() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            if _is_full(error):
                raise StorageFull(f"the database has no room left ({error.orig})") from error
            raise


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _is_full(error: sqlalchemy.exc.DBAPIError) -> bool:
    name = getattr(error.orig, "sqlite_errorname", "")
    # A disk that is full while the WAL grows shows as an I/O error of a write, not as SQLITE_FULL.
    full = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC"}
    return name in full or getattr(error.orig, "sqlstate", "") == "53100"


def _requested(request_id: str) -> sa.ColumnElement[bool]:
    return jobs.c.number == sa.select(requests.c.job).where(requests.c.request_id == request_id).scalar_subquery()


def _job(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> JobRecord | None:
    row = connection.execute(jobs.select().where(condition)).first()
    return _record(row) if row is not None else None


def _record(row: sa.Row[Any]) -> JobRecord:
    return JobRecord(**row._mapping)


def _add_event(connection: sa.Connection, job: JobRecord, time: int, kind: str, payload: bytes) -> None:
    row = {"job": job.number, "sequence": job.last_sequence, "attempt": job.attempt, "time": time, "kind": kind, "payload": payload}
    connection.execute(events.insert().values(row))
