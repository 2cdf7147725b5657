import pytest
import sqlalchemy.event
from job_store_contract import JobStoreContract, new

from actmax.server.storage.sql import SqlJobStore, sqlite_url
from actmax.server.storage.store import StorageFull


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
        assert store.by_request("r") is None
