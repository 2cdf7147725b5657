"""Databases of every earlier schema are brought up to date with all that is in them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from actmax.server.jobs.lifecycle import Lifecycle
from actmax.server.storage import database
from actmax.server.storage.database import Database, DatabaseTooNew, revisions, sqlite_url
from actmax.server.storage.sql import SqlJobStore
from actmax.server.storage.tables import metadata
from actmax.v1 import job_pb2

JOB = {"id": "a", "spec": b"s", "state": 5, "attempt": 2, "crashes": 1, "progress": b"p", "last_sequence": 3}
JOB |= {"error_code": "", "error_message": "", "create_time": 1, "start_time": 2, "end_time": 3}
RUNNING = JOB | {"id": "b", "state": job_pb2.JOB_STATE_RUNNING, "end_time": 0, "progress": b""}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return sqlite_url(tmp_path / "x.db") if request.param == "sqlite" else database.database_url(request.getfixturevalue("postgres")())


def at(url: sa.URL, revision: str) -> None:
    """Make the schema as it was at ``revision``, with a job in it."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        database._run(connection, revision)
    tables = sa.MetaData()
    with engine.begin() as connection:
        tables.reflect(connection)
        connection.execute(tables.tables["jobs"].insert().values(JOB))
        number = connection.execute(sa.select(tables.tables["jobs"].c.number)).scalar_one()
        connection.execute(tables.tables["events"].insert().values(job=number, sequence=3, attempt=2, time=3, kind="state", payload=b"e"))
        connection.execute(tables.tables["artifacts"].insert().values(job=number, path="r", size=7, sha256="x", media_type="y"))
        requests = tables.tables["requests"]
        request = {"request_id": "q", "job": number} | ({"owner": ""} if "owner" in requests.c else {})
        connection.execute(requests.insert().values(request))
        connection.execute(tables.tables["jobs"].insert().values(RUNNING))
    engine.dispose()


@pytest.mark.parametrize(("revision", "stamped"), [(revisions()[0], False), *((revision, True) for revision in revisions())])
def test_an_earlier_database_is_brought_up_to_date(url, revision, stamped):
    at(url, revision)
    if not stamped:  # as the first databases were
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
        engine.dispose()
    store = SqlJobStore(url)
    job = store.get("a")
    assert job is not None
    assert (job.spec, job.state, job.attempt, job.owner, job.labels, job.holder) == (b"s", 5, 2, "", (), "")
    if revision == "0001":
        assert job.size == 7
    assert store.by_request("", "q") == job
    read = store.events("a", 0, 9)
    assert read is not None
    assert [event.payload for event in read[1]] == [b"e"]
    assert [artifact.path for artifact in store.artifacts("a")] == ["r"]
    # What an earlier server was running when it ended is taken up.
    if revision == "0001":
        (running,) = store.held()
        returned = Lifecycle(store, lambda _: None).returned(running, "")
        assert returned is not None
        assert returned.state == job_pb2.JOB_STATE_PENDING
    store.close()
    SqlJobStore(url).close()  # once is enough


@pytest.mark.parametrize("revision", [None, revisions()[0]])
def test_the_migrations_make_what_the_tables_say(url, revision):
    if revision:
        at(url, revision)
    opened = Database(url)
    with opened.read() as connection:
        difference = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    opened.close()
    assert difference == []


def test_a_newer_database_is_left_alone(url):
    opened = Database(url)
    with opened.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(DatabaseTooNew, match="9999"):
        Database(url)
