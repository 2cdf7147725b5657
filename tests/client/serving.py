"""Real servers for the client's tests: the ``actmax serve`` command over the toy lab, killed and started at will."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from actmax.client.cli import execute

FIXTURES = Path(__file__).parents[1] / "fixtures"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(FIXTURES), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "120"}
ENVIRONMENT.pop("ACTMAX_SERVER", None)
ENVIRONMENT["ACTMAX_SERVE_STANDBY"] = "false"  # which costs each server a process more
ACTMAX = (sys.executable, "-m", "actmax.client.cli")

TOY = """\
title: A toy
generator: toy_lab:decoder
target: toy_lab:network
units: ["4[0]", "4[2]"]
optimizer: random
budget: {evaluations: 200}
seed: 3
"""
ENDLESS = "budget={evaluations: 1e8}"


class ServerProcess:
    """``actmax serve`` at a fixed port, so that it can come back where it was."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        where = ("--address", self.address, "--data", str(self.data))
        command = [sys.executable, str(FIXTURES / "forked_processes.py"), "serve", *where, "--allow-import", "toy_lab"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
        assert self.process.stdout is not None
        assert "serving on" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(200)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def actmax(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in this process, since starting Python takes longer than most commands."""
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, ENVIRONMENT | environment, clear=True), redirect_stdout(out), redirect_stderr(err):
        code = execute(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def started(*arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start one command, to be interrupted."""
    return subprocess.Popen([*ACTMAX, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=cwd)


def read_until(stream, text: str) -> str:
    """Lines of a command's output up to the one that holds ``text``."""
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came, but this:\n{seen}")
