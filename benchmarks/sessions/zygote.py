"""A process that has imported all that servers and rigs need, and forks them: a restart then costs no imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.service.cluster import ENVIRONMENT

ROOT = Path(__file__).parents[2]


class Zygote:
    """Starts processes; they are its children, not the caller's."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sessions.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        self.answer()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def start(self, kind: str, **options: Any) -> int:
        """Fork a "server" or a "rig"; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"kind": kind, "options": options}) + "\n")
        self._process.stdin.flush()
        return int(self.answer()["pid"])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill(pid: int) -> None:
    """SIGKILL, and wait until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while alive(pid):
        time.sleep(0.002)


def _server(log: str, **settings: Any) -> None:
    from actmax.server import app
    from actmax.server.config import ServerConfig

    async def nothing(_: Any) -> None:
        """The process that checks jobs has no part in sessions."""

    app.Inspector.start = nothing  # type: ignore[method-assign]
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    app.serve(ServerConfig(**{"standby": False, **settings}))


def _rig(address: str, name: str, journal: str) -> None:
    from .kills import rig

    rig(address, name, Path(journal))


def main() -> None:
    import torch

    import actmax.client.sessions.trials
    import actmax.engine.session.durable_session
    import actmax.optimizers.xdream
    import actmax.server.app  # noqa: F401
    import toy_lab  # noqa: F401

    torch.set_num_threads(1)
    kinds: dict[str, Callable[..., None]] = {"server": _server, "rig": _rig}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("{}", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                kinds[asked["kind"]](**asked["options"])
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    main()
