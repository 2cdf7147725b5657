"""The start of every process that the server spawns."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection, Pipe
from typing import cast

from ..observing.logs import Logs


def settle(name: str, logs: Logs, threads: int) -> None:
    """Ignore SIGINT, set up logging, and limit the threads of numeric libraries.

    Parameters
    ----------
    name : str
        Name of the process in logs.
    logs : Logs
        How to log.
    threads : int
        CPU threads of numeric libraries.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure(name)
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Limit numeric libraries to ``threads`` CPU threads that sleep while idle."""
    # Read once, when torch or numpy is first imported.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pipe() -> tuple[Connection, Connection]:
    """Return the two ends of a pipe, the server's and the process's."""
    return cast("tuple[Connection, Connection]", Pipe())  # of another type on Windows


def receive(connection: Connection) -> bytes:
    """Return the next message of the server; exit this process if the server is gone."""
    try:
        return connection.recv_bytes()
    except (EOFError, OSError):
        os._exit(75)
