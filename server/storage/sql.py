"""The JobStore in a SQL database."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
import sqlalchemy.exc

from .database import Database
from .folders import published_as
from .records import ArtifactRecord, Change, EventRecord, Filter, JobRecord, NewJob, Quota
from .store import AnalysedJobGone, OverQuota, RequestSpent
from .tables import artifacts, events, garbage, jobs, labels, requests, servers

_RACES = 5


class SqlJobStore:
    """A JobStore in one SQL database.

    Parameters
    ----------
    database : Database, sqlalchemy.URL or str
        The database; missing tables are created.

    Raises
    ------
    BadDatabase, DatabaseTooNew, StorageFull, StorageGone, sqlalchemy.exc.DatabaseError
        The database can't be used.
    """

    def __init__(self, database: Database | sa.URL | str) -> None:
        self.database = database if isinstance(database, Database) else Database(database)
        self.engine = self.database.engine
        self._read, self._write = self.database.read, self.database.write

    def create(self, job: NewJob) -> tuple[JobRecord, bool]:
        """See ``JobStore``."""
        for race in range(_RACES):
            try:
                return self._create(job)
            except sqlalchemy.exc.IntegrityError:
                # Another server received the same request at the same time: the next round returns its job.
                if not job.request_id or self.get(job.id) is not None or race == _RACES - 1:
                    raise
                time.sleep(0.01)
        raise AssertionError("the last race raises")

    def _create(self, job: NewJob) -> tuple[JobRecord, bool]:
        with self._write(alone=job.quota != Quota()) as connection:
            if job.request_id:
                known = _requested(connection, job.owner, job.request_id)
                if known is not None:
                    return known, False
            _keep_quota(connection, job)
            row = {"id": job.id, "spec": job.spec, "state": job.state, "progress": job.progress, "create_time": job.create_time}
            row |= {"owner": job.owner, "priority": job.priority, "last_sequence": 1, "analysis_of": job.analysis_of}
            result = connection.execute(jobs.insert().values(row))
            assert result.inserted_primary_key is not None
            number = result.inserted_primary_key[0]
            if job.request_id:
                connection.execute(requests.insert().values(owner=job.owner, request_id=job.request_id, job=number))
            if job.labels:
                connection.execute(labels.insert(), [{"job": number, "key": key, "value": value} for key, value in job.labels])
            connection.execute(
                events.insert().values(job=number, sequence=1, attempt=0, time=job.create_time, kind="state", payload=job.first_event)
            )
            created = _job(connection, jobs.c.number == number)
            assert created is not None
            return created, True

    def by_request(self, owner: str, request_id: str) -> JobRecord | None:
        """See ``JobStore``."""
        with self._read() as connection:
            return _requested(connection, owner, request_id)

    def get(self, job_id: str) -> JobRecord | None:
        """See ``JobStore``."""
        with self._read() as connection:
            return _job(connection, jobs.c.id == job_id)

    def page(self, which: Filter = Filter(), *, before: int | None = None, limit: int) -> list[JobRecord]:  # noqa: B008 - frozen
        """See ``JobStore``."""
        query = jobs.select().order_by(jobs.c.number.desc()).limit(limit)
        if which.states:
            query = query.where(jobs.c.state.in_(sorted(which.states)))
        if which.owner is not None:
            query = query.where(jobs.c.owner == which.owner)
        if which.since is not None:
            query = query.where(jobs.c.create_time >= which.since)
        if which.until is not None:
            query = query.where(jobs.c.create_time < which.until)
        for key, value in which.labels:
            query = query.where(sa.exists().where(labels.c.job == jobs.c.number, labels.c.key == key, labels.c.value == value))
        if before is not None:
            query = query.where(jobs.c.number < before)
        with self._read() as connection:
            return _records(connection, connection.execute(query))

    def ids_like(self, prefix: str, owner: str | None, limit: int) -> list[str]:
        """See ``JobStore``."""
        query = sa.select(jobs.c.id).where(jobs.c.id.startswith(prefix, autoescape=True)).order_by(jobs.c.number.desc())
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self._read() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def claim(
        self, states: Collection[int], change: Callable[[JobRecord], Change], *, excluding: Collection[str] = (), running: int = 0
    ) -> JobRecord | None:
        """See ``JobStore``."""
        held = sa.select(jobs.c.owner, sa.func.count().label("count")).where(jobs.c.holder != "").group_by(jobs.c.owner).subquery()
        count = sa.func.coalesce(held.c.count, 0)
        query = sa.select(jobs.c.id).outerjoin(held, held.c.owner == jobs.c.owner)
        query = query.where(jobs.c.state.in_(sorted(states)), jobs.c.holder == "", jobs.c.id.not_in(sorted(excluding)))
        others = jobs.alias()
        analysed = sa.select(others.c.analysis_of).where(others.c.holder != "", others.c.analysis_of != "")
        query = query.where(jobs.c.analysis_of.not_in(analysed))
        if running:
            query = query.where(count < running)
        query = query.order_by(jobs.c.priority.desc(), count, jobs.c.number).limit(1)
        with self._read() as connection:
            if connection.execute(query).first() is None:
                return None  # the usual case, which needs no lock
        with self._write(alone=True) as connection:
            job_id = connection.execute(query).scalar_one_or_none()
            job = _job(connection, jobs.c.id == job_id) if job_id is not None else None
            return self._change(connection, job.id, change(job)) if job is not None else None

    def change(self, job_id: str, change: Change) -> JobRecord | None:
        """See ``JobStore``."""
        with self._write() as connection:
            return self._change(connection, job_id, change)

    def _change(self, connection: sa.Connection, job_id: str, change: Change) -> JobRecord | None:
        values: dict[str, Any] = {
            "state": change.to,
            "last_sequence": jobs.c.last_sequence + 1,
            "version": jobs.c.version + 1,
            "end_time": change.time if change.ends else 0,
            "error_code": change.error_code,
            "error_message": change.error_message,
        }
        if change.starts:
            values["attempt"] = jobs.c.attempt + 1
            values["start_time"] = sa.case((jobs.c.start_time == 0, change.time), else_=jobs.c.start_time)
        for name in ("holder", "suspending", "crashes", "deaths", "evaluations"):
            if getattr(change, name) is not None:
                values[name] = getattr(change, name)
        number = self._update(connection, job_id, change.allowed, change.attempt, values, change.version)
        if number is None:
            return None
        changed = _job(connection, jobs.c.number == number)
        assert changed is not None
        _add_event(connection, changed, change.time, "state", change.payload)
        if change.artifacts:
            _replace_artifacts(connection, changed, change.artifacts)
            changed = _job(connection, jobs.c.number == number)
            assert changed is not None
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

    def delete(self, job_id: str, allowed: Collection[int], version: int | None = None) -> bool:
        """See ``JobStore``."""
        condition = (jobs.c.id == job_id) & jobs.c.state.in_(sorted(allowed)) & (jobs.c.holder == "")
        if version is not None:
            condition &= jobs.c.version == version
        with self._write() as connection:
            number = connection.execute(sa.select(jobs.c.number).where(condition).with_for_update()).scalar_one_or_none()
            if number is None:
                return False
            connection.execute(requests.update().where(requests.c.job == number).values(job=None))
            for table in (events, artifacts, labels):
                connection.execute(table.delete().where(table.c.job == number))
            connection.execute(jobs.delete().where(jobs.c.number == number))
            connection.execute(garbage.insert().values(id=job_id))
            return True

    def garbage(self) -> list[str]:
        """See ``JobStore``."""
        with self._read() as connection:
            return list(connection.execute(sa.select(garbage.c.id)).scalars())

    def collected(self, job_id: str) -> None:
        """See ``JobStore``."""
        with self._write() as connection:
            connection.execute(garbage.delete().where(garbage.c.id == job_id))

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobRecord, Sequence[EventRecord]] | None:
        """See ``JobStore``."""
        with self._read() as connection:
            job = _job(connection, jobs.c.id == job_id)
            if job is None:
                return None
            # The job is read first, so an event that is added in between is left for the next call.
            query = events.select().where(events.c.job == job.number, events.c.sequence > after, events.c.sequence <= job.last_sequence)
            rows = connection.execute(query.order_by(events.c.sequence).limit(limit))
            return job, [EventRecord(row.sequence, row.attempt, row.time, row.kind, row.payload) for row in rows]

    def sequences(self, job_ids: Collection[str]) -> Mapping[str, int]:
        """See ``JobStore``."""
        with self._read() as connection:
            rows = connection.execute(sa.select(jobs.c.id, jobs.c.last_sequence).where(jobs.c.id.in_(sorted(job_ids))))
            return {row.id: row.last_sequence for row in rows}

    def counts(self) -> Mapping[int, int]:
        """See ``JobStore``."""
        query = sa.select(jobs.c.state, sa.func.count().label("number")).group_by(jobs.c.state)
        with self._read() as connection:
            return {row.state: row.number for row in connection.execute(query)}

    def artifacts(self, job_id: str) -> Sequence[ArtifactRecord]:
        """See ``JobStore``."""
        query = artifacts.select().join(jobs).where(jobs.c.id == job_id).order_by(artifacts.c.path)
        with self._read() as connection:
            return [ArtifactRecord(row.path, row.size, row.sha256, row.media_type) for row in connection.execute(query)]

    def artifact(self, job_id: str, path: str) -> ArtifactRecord | None:
        """See ``JobStore``."""
        query = artifacts.select().join(jobs).where(jobs.c.id == job_id, artifacts.c.path == path)
        with self._read() as connection:
            row = connection.execute(query).first()
            return ArtifactRecord(row.path, row.size, row.sha256, row.media_type) if row is not None else None

    def beat(self, server: str, address: str, *, first: bool = False) -> bool:
        """See ``JobStore``."""
        with self._write() as connection:
            if first:
                connection.execute(servers.insert().values(id=server, address=address[:300], beat=1))
                return True
            return connection.execute(servers.update().where(servers.c.id == server).values(beat=servers.c.beat + 1)).rowcount == 1

    def beats(self) -> Mapping[str, int]:
        """See ``JobStore``."""
        with self._read() as connection:
            return {row.id: row.beat for row in connection.execute(servers.select())}

    def dismiss(self, server: str) -> None:
        """See ``JobStore``."""
        with self._write() as connection:
            connection.execute(servers.delete().where(servers.c.id == server))

    def held(self, servers: Collection[str] | None = None) -> list[JobRecord]:
        """See ``JobStore``."""
        condition = jobs.c.holder != "" if servers is None else jobs.c.holder.in_(sorted(servers))
        with self._read() as connection:
            return _records(connection, connection.execute(jobs.select().where(condition).order_by(jobs.c.number)))

    def close(self) -> None:
        """See ``JobStore``."""
        self.database.close()

    @staticmethod
    def _update(
        connection: sa.Connection,
        job_id: str,
        states: Collection[int],
        attempt: int | None,
        values: dict[str, Any],
        version: int | None = None,
    ) -> int | None:
        # Compare and set in one statement: of two concurrent changes only one matches, in any database.
        condition = (jobs.c.id == job_id) & jobs.c.state.in_(sorted(states))
        if attempt is not None:
            condition &= jobs.c.attempt == attempt
        if version is not None:
            condition &= jobs.c.version == version
        if connection.execute(jobs.update().where(condition).values(values)).rowcount == 0:
            return None
        return connection.execute(sa.select(jobs.c.number).where(jobs.c.id == job_id)).scalar_one()


def _replace_artifacts(connection: sa.Connection, made_by: JobRecord, made: Sequence[ArtifactRecord]) -> None:
    """Replace the artifacts of a job, or of the job that it analyses, whose version grows then."""
    values: dict[str, Any] = {"size": sum(artifact.size for artifact in made)}
    owner_id, edition = published_as(made_by.id, made_by.attempt, made_by.analysis_of)
    if made_by.analysis_of:
        values |= {"added_edition": edition, "version": jobs.c.version + 1}
    owner = jobs.c.id == owner_id
    if connection.execute(jobs.update().where(owner).values(values)).rowcount == 0:
        raise AnalysedJobGone(made_by.analysis_of)
    number = connection.execute(sa.select(jobs.c.number).where(owner)).scalar_one()
    connection.execute(artifacts.delete().where(artifacts.c.job == number))
    connection.execute(artifacts.insert(), [{"job": number, **asdict(artifact)} for artifact in made])


def _keep_quota(connection: sa.Connection, job: NewJob) -> None:
    own = jobs.c.owner == job.owner
    if job.quota.queued:
        waiting = connection.execute(sa.select(sa.func.count()).where(own, jobs.c.state == job.state)).scalar_one()
        if waiting >= job.quota.queued:
            raise OverQuota("queued", job.quota.queued)
    if job.quota.stored_bytes:
        used = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(jobs.c.size), 0)).where(own)).scalar_one()
        if used >= job.quota.stored_bytes:
            raise OverQuota("stored_bytes", job.quota.stored_bytes)


def _requested(connection: sa.Connection, owner: str, request_id: str) -> JobRecord | None:
    query = sa.select(requests.c.job).where(requests.c.owner == owner, requests.c.request_id == request_id)
    row = connection.execute(query).first()
    if row is None:
        return None
    job = _job(connection, jobs.c.number == row.job) if row.job is not None else None
    if job is None:
        raise RequestSpent(request_id)
    return job


def _job(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> JobRecord | None:
    found = _records(connection, connection.execute(jobs.select().where(condition)))
    return found[0] if found else None


def _records(connection: sa.Connection, rows: Iterable[sa.Row[Any]]) -> list[JobRecord]:
    found = {row.number: dict(row._mapping) for row in rows}
    marked: dict[int, list[tuple[str, str]]] = {number: [] for number in found}
    numbers = sorted(found)
    for start in range(0, len(numbers), 1000):  # databases take a limited number of values
        query = labels.select().where(labels.c.job.in_(numbers[start : start + 1000])).order_by(labels.c.key)
        for row in connection.execute(query):
            marked[row.job].append((row.key, row.value))
    return [JobRecord(**values, labels=tuple(marked[number])) for number, values in found.items()]


def _add_event(connection: sa.Connection, job: JobRecord, time: int, kind: str, payload: bytes) -> None:
    row = {"job": job.number, "sequence": job.last_sequence, "attempt": job.attempt, "time": time, "kind": kind, "payload": payload}
    connection.execute(events.insert().values(row))
