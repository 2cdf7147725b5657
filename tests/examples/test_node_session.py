"""The Node.js client of a session, against real servers that are killed under it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from actmax.client.sessions.trials import fetch_trials

ROOT = Path(__file__).parents[2]
SPEC = {
    "title": "From Node.js",
    "generator": {"name": "toy_lab:decoder"},
    "units": [{"name": "a", "kind": "RESPONSE_KIND_RATE"}],
    "optimizer": {"name": "random"},
    "stop": {"evaluations": 60},
    "design": {"generation_size": 12, "references": {"rate": 0.2}},
    "seed": 5,
}


def started(example: Path, address: str, *arguments: str) -> subprocess.Popen[str]:
    (example / "spec.json").write_text(json.dumps(SPEC))
    command = ["node", "session.mjs", "--server", address, "--protos", str(ROOT / "protos"), *arguments]
    return subprocess.Popen(command, cwd=example, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_runs_a_session_though_server_and_client_are_killed(example: Path, server) -> None:
    first = started(example, server.address, "--spec", "spec.json", "--latency", "5")
    assert first.stdout is not None
    name = first.stdout.readline().strip()
    assert name.startswith("sessions/"), first.communicate()
    assert first.stdout.readline().startswith("generation 1: ")
    server.kill()
    server.start()
    assert first.stdout.readline().startswith("generation 2: ")
    first.kill()
    first.communicate()
    second = started(example, server.address, "--session", name)
    out, err = second.communicate(timeout=200)
    assert second.returncode == 0, err
    assert out.splitlines()[-1].startswith("ended by evaluations: ")

    trials = fetch_trials(name, server.address, stimuli=True)
    missed = trials.trial % 10 == 0
    assert trials.status == ["missed" if each else "told" for each in missed]
    expected = 20 * trials.stimuli.reshape(len(trials), -1).astype(np.float64).mean(1) ** 2
    np.testing.assert_allclose(trials.responses[~missed, 0], expected[~missed], rtol=1e-6)
    assert sum(kind == "reference" for kind in trials.kind) > 5
    assert trials.session.recommendation.final


def test_it_tells_what_is_wrong(example: Path, server) -> None:
    failed = started(example, server.address, "--session", "sessions/0123456789abcdef")
    _, err = failed.communicate(timeout=200)
    assert failed.returncode == 1
    assert "NOT_FOUND" in err


def test_its_own_session_is_one() -> None:
    from actmax.client.sessions import spec as sessionspec

    spec = sessionspec.from_plain(json.loads((ROOT / "examples/node/session.json").read_text()))
    assert spec.generator.name == "cifar10-sngan"
