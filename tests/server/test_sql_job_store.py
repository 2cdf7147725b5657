import threading

import pytest
import sqlalchemy as sa
import sqlalchemy.event
from job_store_contract import JobStoreContract, new

from actmax.server.storage.database import sqlite_url
from actmax.server.storage.sql import SqlJobStore
from actmax.server.storage.store import StorageFull, StorageGone


class TestSqliteJobStore(JobStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda: SqlJobStore(sqlite_url(tmp_path / "a b%20c.db"))

    def test_its_commits_survive_a_power_cut(self, store):
        with store.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2

    def test_a_full_database_is_told_and_unharmed(self, store):
        job, _ = store.create(new())
        with store.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

        @sqlalchemy.event.listens_for(store.engine, "begin")
        def full(connection):
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(StorageFull):
            store.create(new(spec=bytes(1_000_000), request_id="r"))
        assert store.page(limit=9) == [job]
        assert store.by_request("", "r") is None


class TestPostgresJobStore(JobStoreContract):
    @pytest.fixture
    def open_store(self, postgres):
        url = postgres()
        return lambda: SqlJobStore(url)

    def test_servers_that_start_together_make_the_tables_once(self, postgres):
        url, stores = postgres(), []
        threads = [threading.Thread(target=lambda: stores.append(SqlJobStore(url))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stores) == 4
        job, _ = stores[0].create(new())
        assert stores[3].get(job.id) == job
        for store in stores:
            store.close()

    def test_a_database_that_goes_away_is_told_as_such_and_found_again(self, store):
        job, _ = store.create(new())
        with store.engine.connect() as connection:
            name = connection.execute(sa.text("SELECT current_database()")).scalar_one()

        def allow(yes: bool) -> None:
            admin = sa.create_engine(store.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}"))
                connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
            admin.dispose()

        allow(False)
        for call in (lambda: store.get(job.id), lambda: store.create(new())):
            with pytest.raises(StorageGone):
                call()
        allow(True)
        assert store.get(job.id) == job
