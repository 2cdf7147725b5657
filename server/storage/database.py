"""The SQL database: SQLite (WAL) by default, PostgreSQL by URL. Opening it migrates its schema to the latest version."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event
import sqlalchemy.exc

from ..config import ConfigError
from .store import StorageFull, StorageGone
from .tables import locks, metadata

_SCRIPTS = Path(__file__).parent / "migrations"
_QUEUE = "queue"
_MIGRATION_SECONDS = 60.0


class DatabaseTooNew(RuntimeError):
    """A newer actmax has created or upgraded the database."""


class BadDatabase(ConfigError):
    """The setting ``database`` is no URL of a supported database."""


def sqlite_url(path: Path) -> sa.URL:
    """Return the URL of a SQLite file."""
    return sa.URL.create("sqlite", database=str(path))


def database_url(text: str) -> sa.URL:
    """Return the URL in a setting; ``postgresql://`` selects psycopg, which actmax[postgres] installs.

    Raises
    ------
    BadDatabase
        The text is no URL, or its database is not supported. The message has no part of the text, since it may hold a password.
    """
    try:
        url = sa.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise BadDatabase("database: it is no database's URL, such as postgresql://actmax@db/actmax") from None
    if url.get_backend_name() not in ("postgresql", "postgres", "sqlite"):
        raise BadDatabase(f"database: {url.get_backend_name()} is not supported; give a postgresql:// URL, or none for SQLite")
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


class Database:
    """Connections, transactions and the schema.

    Parameters
    ----------
    url : sqlalchemy.URL or str
        The database's URL.

    Raises
    ------
    BadDatabase, DatabaseTooNew, StorageFull, StorageGone, sqlalchemy.exc.DatabaseError
        The database can't be used.
    """

    def __init__(self, url: sa.URL | str) -> None:
        url = database_url(url) if isinstance(url, str) else url
        self.shared = url.get_backend_name() != "sqlite"
        """Whether several servers may use it."""
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 10, "pool_timeout": 10, "connect_args": {"connect_timeout": 5}}
        try:
            self.engine = sa.create_engine(url, **(options if self.shared else {}))
        except ModuleNotFoundError as error:
            raise BadDatabase(
                f"database: {url.get_backend_name()} needs the package {error.name or 'psycopg'}; pip install 'actmax[postgres]'"
            ) from None
        if not self.shared:
            sqlalchemy.event.listen(self.engine, "connect", _prepare_sqlite)
        # SQLite has one writer at a time; waiting for this lock avoids SQLite's error "database is locked".
        self._writing = threading.Lock() if not self.shared else None
        try:
            self._upgrade()
        except BaseException:
            self.engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection to read from.

        Raises
        ------
        StorageGone
            The database can't be reached.
        """
        with _told(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[sa.Connection]:
        """Yield the connection of one transaction, which is committed at the end.

        Parameters
        ----------
        alone : bool
            Whether the transaction excludes those of all servers that are ``alone`` too.

        Raises
        ------
        StorageFull, StorageGone
            Nothing was written. If the connection broke during the commit, that is unknown.
        """
        with _told():
            if self._writing is not None:
                with self._writing, self.engine.begin() as connection:
                    yield connection
            else:
                with self.engine.begin() as connection:
                    if alone:
                        connection.execute(locks.select().where(locks.c.name == _QUEUE).with_for_update())
                    yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _upgrade(self) -> None:
        # If several servers start on a fresh database, one creates the tables; the others fail and retry.
        deadline = time.monotonic() + _MIGRATION_SECONDS
        while True:
            try:
                with self.write() as connection:
                    upgrade(connection)
                return
            except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
                if not self.shared or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def upgrade(connection: sa.Connection) -> None:
    """Migrate the schema from any earlier version to the latest.

    Raises
    ------
    DatabaseTooNew
        The schema has a later version than this actmax knows.
    """
    from alembic.runtime.migration import MigrationContext

    found = MigrationContext.configure(connection).get_current_revision()
    known = revisions()
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise DatabaseTooNew(f"its schema is {found}, of a newer actmax; this one knows {known[-1]}")
    tables = sa.inspect(connection).get_table_names()
    if found is None and "jobs" not in tables:
        metadata.create_all(connection)
        _stamp(connection, known[-1])
    else:
        if found is None:
            _stamp(connection, known[0])  # made before there were versions
        _run(connection, known[-1])
    if connection.execute(locks.select()).first() is None:
        connection.execute(locks.insert().values(name=_QUEUE))


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return all versions of the schema, oldest first."""
    from alembic.script import ScriptDirectory

    return tuple(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def _config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _stamp(connection: sa.Connection, revision: str) -> None:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    MigrationContext.configure(connection).stamp(ScriptDirectory.from_config(_config()), revision)


def _run(connection: sa.Connection, revision: str) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise StorageGone("the database has no connection free") from error
    except sqlalchemy.exc.DBAPIError as error:
        if _is_full(error):
            raise StorageFull(f"the database has no room left ({error.orig})") from error
        if error.connection_invalidated or (isinstance(error, sqlalchemy.exc.OperationalError) and _is_gone(error)):
            raise StorageGone(
                f"the database can't be reached ({str(error.orig).splitlines()[0] if str(error.orig) else error.orig!r})"
            ) from error
        raise


def _is_full(error: sqlalchemy.exc.DBAPIError) -> bool:
    name = getattr(error.orig, "sqlite_errorname", "")
    # A disk that is full while the WAL grows shows as an I/O error of a write, not as SQLITE_FULL.
    full = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC"}
    return name in full or getattr(error.orig, "sqlstate", "") == "53100"


def _is_gone(error: sqlalchemy.exc.DBAPIError) -> bool:
    # PostgreSQL: no state (never connected), connection exceptions (08), too many connections (53300), shutdown and start-up (57P).
    state = getattr(error.orig, "sqlstate", "no") or ""
    return error.orig.__class__.__module__.startswith("psycopg") and (
        not state or state.startswith(("08", "53300", "57P", "40001", "40P01"))
    )
