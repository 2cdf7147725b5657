"""Kills servers and workers at random instants while jobs of every optimizer family run, and compares with undisturbed runs, bit for bit.

python -m benchmarks.service.kills --kills 200 --database sqlite --out benchmarks/service/results
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actmax.client import ActmaxError, Client
from actmax.v1 import job_pb2
from benchmarks.service.cluster import ServerProcess, patiently, postgres, without_times

CODES = {"generator": {"name": "toy_lab:codes", "options": {"bank": 20}}}
BOX = {"generator": {"name": "toy_lab:decoder"}}
FAMILIES: dict[str, dict[str, Any]] = {
    "random": BOX,
    "adam": BOX,
    "langevin": BOX,
    "cma": BOX,
    "sphere-cma": BOX,
    "xdream": BOX,
    "nevergrad": BOX,
    "thompson": BOX,
    "protes": CODES,
    "tt-cross": CODES,
    "tt-evolution": CODES,
    "patch-evolution": CODES,
    "auto": CODES,
}

# Some seconds of work each.
EVALUATIONS = {
    "random": 6000,
    "adam": 200,
    "langevin": 400,
    "cma": 1500,
    "sphere-cma": 4000,
    "xdream": 4000,
    "nevergrad": 250,
    "thompson": 300,
    "protes": 2000,
    "tt-cross": 2000,
    "tt-evolution": 600,
    "patch-evolution": 700,
    "auto": 250,
}


def job(optimizer: str, evaluations: int, seed: int) -> dict[str, Any]:
    return {
        "target": {"name": "toy_lab:network"},
        "units": ["4[1]", "4[3]"],
        "optimizer": {"name": optimizer},
        "budget": {"evaluations": evaluations},
        "seed": seed,
        "title": f"{optimizer} {seed}",
    } | FAMILIES[optimizer]


class Follower(threading.Thread):
    """Watches one job to its end through all restarts, as a client does, and keeps the events that it saw."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(daemon=True)
        self.address, self.name_ = address, name
        self.events: list[tuple[int, int, str]] = []
        self.error = ""

    def run(self) -> None:
        token = ""
        with Client(self.address, stream_patience=600) as client:
            try:
                for response in client.watch(self.name_, token):
                    if response.HasField("event"):
                        state = response.event.state_change.state if response.event.HasField("state_change") else 0
                        self.events.append((response.event.sequence, state, response.event.state_change.message))
            except ActmaxError as error:
                self.error = str(error)


def found(client: Client, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    result = without_times(json.loads(client.download(name, "result.json")))
    with np.load(io.BytesIO(client.download(name, "arrays.npz"))) as file:
        return result, {key: file[key] for key in file if "second" not in key}


@dataclass(frozen=True)
class Campaign:
    """How many kills there are, of whom, and the work that they hit.

    Attributes
    ----------
    kills : int
        How many there are.
    families : tuple of str
        The optimizers of the jobs, in turn.
    evaluations : dict of str to int, or int
        Of a job, by its optimizer or of all alike.
    seed : int
        Of jobs and kills.
    pause : float
        Mean seconds between two kills.
    servers, workers : int
        Servers, and workers of each.
    share : float
        Share of kills that hit a server.
    spare : int
        Jobs that wait while all workers have one.
    standby : bool
        Whether some kills hit a worker that only stands by.
    """

    kills: int
    families: tuple[str, ...]
    evaluations: dict[str, int] | int
    seed: int
    pause: float
    servers: int = 1
    workers: int = 2
    share: float = 0.3
    spare: int = 1
    standby: bool = True

    def job(self, number: int) -> dict[str, Any]:
        family = self.families[number % len(self.families)]
        evaluations = self.evaluations if isinstance(self.evaluations, int) else self.evaluations.get(family, 3000)
        return job(family, evaluations, self.seed + number)


def disturb(folder: Path, database: str, campaign: Campaign, log: Any = print) -> dict[str, Any]:
    """One campaign; returns its report, raises AssertionError where a promise was broken."""
    chance = random.Random(campaign.seed)
    shared = {"database": database, "lease_seconds": 4.0, "poll_seconds": 0.3, "files": f"file://{folder}/files"} if database else {}
    settings = {
        "workers": campaign.workers,
        "checkpoint_seconds": 0.3,
        "max_attempts": 10**6,
        "max_server_deaths": 10**6,
        "stop_seconds": 10.0,
        "standby": campaign.standby,
        **shared,
    }
    cluster = [ServerProcess(folder / f"data{number}", **settings) for number in range(campaign.servers)]
    specs: list[dict[str, Any]] = []
    names: dict[str, int] = {}
    followers: list[Follower] = []
    killed = {"worker": 0, "server": 0}
    began = time.monotonic()

    def submit() -> None:
        specs.append(campaign.job(len(specs)))
        with Client(chance.choice(cluster).address) as client:
            key = str(uuid.uuid4())
            name = patiently(client.create, specs[-1], key).name
            # An acknowledged request is known for ever, and known once.
            assert patiently(client.create, specs[-1], key).name == name
        names[name] = len(specs) - 1
        follower = Follower(chance.choice(cluster).address, name)
        follower.start()
        followers.append(follower)

    try:
        while sum(killed.values()) < campaign.kills or any(follower.is_alive() for follower in followers):
            open_ = sum(follower.is_alive() for follower in followers)
            if sum(killed.values()) < campaign.kills:
                while open_ < campaign.servers * campaign.workers + campaign.spare:
                    submit()
                    open_ += 1
                time.sleep(chance.expovariate(1 / campaign.pause))
                server = chance.choice(cluster)
                pids = server.workers()
                if chance.random() < campaign.share or not pids:
                    server.kill()
                    killed["server"] += 1
                else:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(chance.choice(pids), signal.SIGKILL)
                        killed["worker"] += 1
                if sum(killed.values()) % 10 == 0:
                    ended = sum(not follower.is_alive() for follower in followers)
                    log(f"{time.monotonic() - began:6.0f} s: {killed}, {ended} of {len(specs)} jobs ended")
            else:
                time.sleep(0.2)
        report = compare(cluster[0].address, specs, names, followers)
    finally:
        codes = [server.stop() for server in cluster]
    assert codes == [0] * campaign.servers, codes
    return report | {
        "killed": killed,
        "database": database.split(":")[0] or "sqlite",
        "servers": campaign.servers,
        "seconds": time.monotonic() - began,
    }


def compare(address: str, specs: list[dict[str, Any]], names: dict[str, int], followers: list[Follower]) -> dict[str, Any]:
    """Hold what was found against undisturbed runs of the same jobs, on the same server, now left alone."""
    attempts, differing = [], []
    with Client(address) as client:
        listed = [job.name for job in client.list()]
        assert sorted(listed) == sorted(names), "jobs were lost or doubled"
        for follower in followers:
            assert not follower.error, follower.error
            sequences = [sequence for sequence, _, _ in follower.events]
            assert sequences == sorted(set(sequences)), "an event came twice, or out of order"
            states = [state for _, state, _ in follower.events if state]
            job = client.get(follower.name_)
            assert states[0] == job_pb2.JOB_STATE_PENDING
            assert states[-1] == job.state == job_pb2.JOB_STATE_SUCCEEDED, (job_pb2.JobState.Name(job.state), job.error.message)
            # Every attempt that began was told of: no state change was missed, none was made up.
            begun = [message for _, state, message in follower.events if state == job_pb2.JOB_STATE_RUNNING]
            assert begun == [f"attempt {number + 1}" for number in range(job.attempt)], (begun, job.attempt)
            attempts.append(job.attempt)
        quietly = {name: client.create(specs[number]) for name, number in names.items()}
        for name, quiet in quietly.items():
            ended = client.wait(quiet.name)
            assert (ended.state, ended.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 1), ended.error
            (result, arrays), (expected, undisturbed) = found(client, name), found(client, quiet.name)
            same = result == expected and sorted(arrays) == sorted(undisturbed)
            same = same and all(
                arrays[key].dtype == undisturbed[key].dtype and arrays[key].tobytes() == undisturbed[key].tobytes() for key in arrays
            )
            if not same:
                differing.append(specs[names[name]]["title"])
    assert not differing, f"these differ from their undisturbed runs: {differing}"
    return {"jobs": len(specs), "attempts": sum(attempts), "most_attempts_of_a_job": max(attempts), "differing": 0, "lost": 0, "doubled": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds between two kills")
    parser.add_argument("--evaluations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills") as folder, contextlib.ExitStack() as stack:
        url = ""
        if options.database == "postgresql":
            url = stack.enter_context(postgres(Path(folder) / "pg")).url
        campaign = Campaign(
            kills=options.kills,
            families=tuple(options.families.split(",")),
            evaluations=options.evaluations or EVALUATIONS,
            seed=options.seed,
            pause=options.pause,
            servers=options.servers,
            workers=options.workers,
        )
        report = disturb(Path(folder), url, campaign)
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"kills-{options.database}-{options.servers}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
