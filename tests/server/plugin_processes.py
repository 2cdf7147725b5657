"""Plugins for tests of a server: in a process of their own, or dialled in from this one."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from actmax.client.plugin import PluginOffering

FIXTURES = Path(__file__).parents[1] / "fixtures"


@asynccontextmanager
async def process(*arguments):
    """``plugin_process.py``, ready; killed at the end."""
    command = [sys.executable, str(FIXTURES / "plugin_process.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) as running:
        assert running.stdout is not None
        assert await asyncio.to_thread(running.stdout.readline)
        try:
            yield running
        finally:
            running.kill()


@asynccontextmanager
async def offered(plugin, address: str, name: str, **settings):
    """A plugin that has dialled in, from a thread of this process."""
    offering = PluginOffering(plugin, name, address, **settings)
    await asyncio.to_thread(offering.__enter__)
    try:
        yield offering
    finally:
        await asyncio.to_thread(offering.close)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
