from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

# Spawned processes import the paced engine by name, from the path that they are handed.
HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def serving(tmp_path):
    """Starts servers over one data folder: ``async with serving() as (server, calls)``."""
    from calls import calling
    from paced_engine import PacedEngine

    from actmax.server.app import Server
    from actmax.server.config import ServerConfig

    @asynccontextmanager
    async def start(engine=None, grace: float | None = None, **settings):
        settings.setdefault("data", tmp_path / "data")
        settings.setdefault("stop_seconds", 5.0)
        server = Server(ServerConfig(address="127.0.0.1:0", **settings), engine=engine or PacedEngine())
        await server.start()
        try:
            async with calling(server.address) as calls:
                yield server, calls
        finally:
            await server.stop(grace)

    return start
