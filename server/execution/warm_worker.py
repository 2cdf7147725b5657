"""A spare worker process with everything imported, so that a job begins at once."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from ..config import ServerConfig
from ..observing.logs import Logs
from . import child, worker
from .engine import Engine
from .task import WorkerTask, decode_task, encode_task

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")


class WarmWorker:
    """One spare process for all workers of a server. Methods may be called from any thread.

    It has run only code that the engine imports, and runs one job, as every other worker does.
    """

    def __init__(self, config: ServerConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._lock = threading.Lock()
        self._idle: tuple[Connection, SpawnProcess] | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """Id of the spare process; 0 without one."""
        with self._lock:
            return (self._idle[1].pid or 0) if self._idle is not None else 0

    def prepare(self) -> None:
        """Start a spare process if there is none; it is ready a few seconds later."""
        with self._lock:
            if self._closed or (self._idle is not None and self._idle[1].is_alive()):
                return
            _drop(self._idle)
            self._idle = None
            ours, theirs = child.pipe()
            arguments = (theirs, self._engine, self._config.worker_threads, self._config.logs)
            process = _spawn.Process(target=main, args=arguments, daemon=True, name="standby")
            try:
                process.start()
            except OSError as error:  # the next job starts its own process, and reports the error
                _log.warning("no process could be started to stand by (%s)", error)
                ours.close()
            else:
                self._idle = ours, process
            finally:
                theirs.close()

    def take(self, task: WorkerTask) -> tuple[Connection, SpawnProcess] | None:
        """Send the spare process its task and return it with its pipe; None if there is no live spare process."""
        with self._lock:
            found, self._idle = self._idle, None
        if found is None:
            return None
        try:
            if found[1].is_alive():
                found[0].send_bytes(encode_task(task))
                return found
        except OSError:
            pass
        _log.warning("the process that stood by had ended (exit code %s)", found[1].exitcode)
        _drop(found)
        return None

    def close(self) -> None:
        """End the spare process; no other one is started."""
        with self._lock:
            self._closed = True
            _drop(self._idle)
            self._idle = None


def main(connection: Connection, maker: Engine, threads: int, logs: Logs) -> None:
    """Import what jobs need, wait for a task, and run it.

    Parameters
    ----------
    connection : Connection
        The process's end of the pipe to the server.
    maker : Engine
        What runs the job.
    threads : int
        CPU threads of numeric libraries while waiting.
    logs : Logs
        How to log while waiting.
    """
    child.settle("standby", logs, threads)
    with contextlib.suppress(Exception):  # the job fails with the same error, and reports it
        maker.warm(running=True)
    worker.main(connection, maker, decode_task(child.receive(connection)))


def _drop(idle: tuple[Connection, SpawnProcess] | None) -> None:
    if idle is not None:
        connection, process = idle
        process.kill()
        process.join()
        process.close()
        connection.close()
