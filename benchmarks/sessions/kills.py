"""Kills the server or the client of a session at random instants, and compares with an undisturbed session, bit for bit.

python -m benchmarks.sessions.kills --kills 100 --out benchmarks/sessions/results
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from actmax.client import ActmaxError, Session
from actmax.client.trials import fetch_trials
from benchmarks.service.cluster import ServerProcess

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {
    "generator": "toy_lab:decoder",
    "units": ["a"],
    "optimizer": "xdream",
    "stop": {"evaluations": 400},
    "design": {"generation_size": 20, "replicates": 2, "remeasure": 0.2},
    "seed": 11,
}


def respond(trial: int, stimulus: np.ndarray) -> float:
    """A spike count that belongs to the trial, missed now and then."""
    draws = np.random.default_rng(trial)
    return float("nan") if draws.random() < 0.03 else float(draws.poisson(20 * float(stimulus.astype(np.float64).mean()) ** 2))


def rig(address: str, name: str, journal: Path) -> None:
    """Run the session to its end; a line in ``journal`` for every trial that was acknowledged, before the next one."""
    with Session(name, address, patience=600) as session, journal.open("a") as file:
        for generation in session:
            for trial, stimulus in zip(generation.trials, generation.stimuli, strict=True):
                value = respond(trial, stimulus)
                session.tell_trial(trial, None if np.isnan(value) else value)
                file.write(f"{trial} {value!r}\n")
                file.flush()


def start(address: str, name: str, journal: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.sessions.kills", "--rig", address, name, str(journal)]
    return subprocess.Popen(command, cwd=ROOT)


def patiently(call: Any, *arguments: Any, **options: Any) -> Any:
    deadline = time.monotonic() + 120
    while True:
        try:
            return call(*arguments, **options)
        except ActmaxError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED") or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def disturb(folder: Path, kills: int, seed: int, spec: dict[str, Any] = SPEC, log: Any = print) -> dict[str, Any]:
    """Sessions one after the other until ``kills`` processes were killed; raises AssertionError where a promise was broken."""
    chance = random.Random(seed)
    server = ServerProcess(folder / "data", stop_seconds=5.0)
    killed = {"server": 0, "client": 0}
    sessions = trials = 0
    try:
        quiet = patiently(Session.create, spec, server.address)
        journal = folder / "quiet"
        assert start(server.address, quiet.name, journal).wait() == 0
        expected = fetch_trials(quiet.name, server.address, stimuli=True)
        quiet.close()
        while sum(killed.values()) < kills:
            sessions += 1
            made = patiently(Session.create, spec | {"title": f"disturbed {sessions}"}, server.address)
            made.close()
            journal = folder / f"journal-{sessions}"
            process = start(server.address, made.name, journal)
            try:
                while process.poll() is None and sum(killed.values()) < kills:
                    # at a random instant after some trials went through since the last kill, so that sessions get on
                    before = lines(journal)
                    while lines(journal) < before + 5 and process.poll() is None:
                        time.sleep(0.005)
                    time.sleep(chance.uniform(0, 0.3))
                    if process.poll() is not None:
                        break
                    if chance.random() < 0.5:
                        server.kill()
                        killed["server"] += 1
                    else:
                        process.send_signal(signal.SIGKILL)
                        process.wait()
                        killed["client"] += 1
                        process = start(server.address, made.name, journal)
                    log(f"{killed}, session {sessions} at trial {lines(journal)}")
                assert process.wait(600) == 0
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            found = fetch_trials(made.name, server.address, stimuli=True)
            compare(expected, found, journal)
            trials += len(found)
    finally:
        server.stop()
    return {"kills": killed, "sessions": sessions, "trials": trials, "lost": 0, "doubled": 0, "differing": 0, "cpus": os.cpu_count()}


def compare(expected: Any, found: Any, journal: Path) -> None:
    """Every acknowledged trial is there once, as it was told; and all is as in the undisturbed session."""
    assert found.trial.tolist() == list(range(1, len(found) + 1)), "trials were lost or doubled"
    told = {int(trial): float(value) for trial, value in (line.split() for line in journal.read_text().splitlines())}
    for trial, value in told.items():
        row = trial - 1
        status = found.status[row]
        assert status == ("missed" if np.isnan(value) else "told"), f"trial {trial} was acknowledged and is {status}"
        assert np.isnan(value) or found.responses[row, 0] == value, f"trial {trial} was told otherwise"
    assert found.stimuli.tobytes() == expected.stimuli.tobytes(), "other stimuli were shown"
    assert found.latents.tobytes() == expected.latents.tobytes()
    assert found.score.tobytes() == expected.score.tobytes()
    assert found.kind == expected.kind


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def main() -> None:
    if sys.argv[1:2] == ["--rig"]:
        return rig(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills") as folder:
        report = disturb(Path(folder), options.kills, options.seed)
    report["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "kills.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
