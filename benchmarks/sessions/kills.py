"""Kills the server or the client of a session at random instants, and compares with an undisturbed session, bit for bit.

python -m benchmarks.sessions.kills --kills 100 --out benchmarks/sessions/results
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from actmax.client import ActmaxError, Session
from actmax.client.sessions.trials import fetch_trials
from benchmarks.sessions.zygote import Zygote, alive, kill

SPEC: dict[str, Any] = {
    "generator": "toy_lab:decoder",
    "units": ["a"],
    "optimizer": "xdream",
    "stop": {"evaluations": 400},
    "design": {"generation_size": 20, "replicates": 2, "remeasure": 0.2},
    "seed": 11,
}


END = "# the end\n"


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
        file.write(END)


def patiently(call: Any, *arguments: Any, **options: Any) -> Any:
    deadline = time.monotonic() + 120
    while True:
        try:
            return call(*arguments, **options)
        except ActmaxError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED") or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Lab:
    """A server that can be killed, and rigs; all forked from one process that has imported what they need."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._settings = {"address": self.address, "data": str(folder / "data"), "allow_imports": ["toy_lab"], "threads": 1}
        self._log = str(folder / "server.log")
        self._zygote = Zygote()
        self.server = self._zygote.start("server", log=self._log, **self._settings)

    def kill_server(self) -> None:
        kill(self.server)
        self.server = self._zygote.start("server", log=self._log, **self._settings)

    def rig(self, name: str, journal: Path) -> int:
        return self._zygote.start("rig", address=self.address, name=name, journal=str(journal))

    def stop(self) -> None:
        kill(self.server)
        self._zygote.stop()


def finished(journal: Path, process: int) -> bool:
    """Whether a rig has come to the session's end; AssertionError where it died of itself."""
    if alive(process):
        return False
    assert ended(journal), "the rig failed"
    return True


def ended(journal: Path) -> bool:
    return journal.exists() and journal.read_bytes().endswith(END.encode())


def disturb(folder: Path, kills: int, seed: int, spec: dict[str, Any] = SPEC, log: Any = print) -> dict[str, Any]:
    """Sessions one after the other until ``kills`` processes were killed; raises AssertionError where a promise was broken."""
    chance = random.Random(seed)
    lab = Lab(folder)
    killed = {"server": 0, "client": 0}
    sessions = trials = 0
    process = 0
    try:
        quiet = patiently(Session.create, spec, lab.address)
        journal = folder / "quiet"
        process = lab.rig(quiet.name, journal)
        while not finished(journal, process):
            time.sleep(0.02)
        expected = fetch_trials(quiet.name, lab.address, stimuli=True)
        quiet.close()
        while sum(killed.values()) < kills:
            sessions += 1
            made = patiently(Session.create, spec | {"title": f"disturbed {sessions}"}, lab.address)
            made.close()
            journal = folder / f"journal-{sessions}"
            process = lab.rig(made.name, journal)
            while not finished(journal, process):
                # at a random instant after some trials went through since the last kill, so that sessions get on
                before = lines(journal)
                while lines(journal) < before + 5 and not finished(journal, process):
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, 0.3) if sum(killed.values()) < kills else 0.02)
                if finished(journal, process) or sum(killed.values()) >= kills:
                    continue
                if chance.random() < 0.5:
                    lab.kill_server()
                    killed["server"] += 1
                else:
                    kill(process)
                    killed["client"] += 1
                    process = lab.rig(made.name, journal)
                log(f"{killed}, session {sessions} at trial {lines(journal)}")
            found = fetch_trials(made.name, lab.address, stimuli=True)
            compare(expected, found, journal)
            trials += len(found)
    finally:
        if process:
            kill(process)
        lab.stop()
    return {"kills": killed, "sessions": sessions, "trials": trials, "lost": 0, "doubled": 0, "differing": 0, "cpus": os.cpu_count()}


def compare(expected: Any, found: Any, journal: Path) -> None:
    """Every acknowledged trial is there once, as it was told; and all is as in the undisturbed session."""
    assert found.trial.tolist() == list(range(1, len(found) + 1)), "trials were lost or doubled"
    told = {int(trial): float(value) for trial, value in (line.split() for line in journal.read_text().splitlines() if line[0] != END[0])}
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
