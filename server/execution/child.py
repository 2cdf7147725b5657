"""What every process that the server starts does first."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection, Pipe
from typing import cast

from ..observing.logs import Logs


def settle(name: str, logs: Logs, threads: int) -> None:
    """Leave Ctrl-C to the server, set up logging, and keep numeric libraries to ``threads`` CPU threads that don't spin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure(name)
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Keep numeric libraries to ``threads`` CPU threads that don't spin."""
    # Read once, when torch or numpy is first imported.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pipe() -> tuple[Connection, Connection]:
    """Two ends of a pipe, the server's and the process's."""
    return cast("tuple[Connection, Connection]", Pipe())  # of another type on Windows


def receive(connection: Connection) -> bytes:
    """The next message of the server; where the server is gone, this process ends here and now."""
    try:
        return connection.recv_bytes()
    except (EOFError, OSError):
        os._exit(75)
