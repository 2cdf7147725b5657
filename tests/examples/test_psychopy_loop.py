"""The PsychoPy example's loop, without a window and with a made-up neuron."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving import ENVIRONMENT  # pyright: ignore[reportMissingImports]

from actmax.client.sessions.trials import fetch_trials

EXAMPLE = Path(__file__).parents[2] / "examples/psychopy_loop.py"


def run(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLE), "--rehearse", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def test_it_is_rehearsed_and_goes_on_after_a_crash(server) -> None:
    first = run("--server", server.address)
    assert first.stdout is not None
    name = first.stdout.readline().strip()
    assert name.startswith("sessions/"), first.communicate()
    assert first.stdout.readline().startswith("generation 1")
    first.kill()
    first.communicate()
    second = run("--server", server.address, "--session", name)
    out, err = second.communicate(timeout=200)
    assert second.returncode == 0, err
    assert "recommended: " in out
    trials = fetch_trials(name, server.address)
    assert set(trials.status) <= {"told", "missed"}
    assert (trials.onset > 0).all()
