"""Two servers with two workers each on one PostgreSQL run short jobs while servers and workers are killed: each exactly once to the end.

python -m benchmarks.service.fleet --jobs 200 --out benchmarks/service/results
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from actmax.client import Client
from actmax.v1 import job_pb2
from benchmarks.service.cluster import PacedServer, ServerProcess, patiently, postgres, without_times

ENDED = {job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED}
SPECS = 5


def job(number: int, engine: str) -> dict[str, Any]:
    """The job of that number: one of a few, whose undisturbed results are known."""
    kind = number % SPECS
    if engine == "paced":
        return {
            "generator": {"name": "g"},
            "target": {"name": "known"},
            "units": ["out[0]"],
            "optimizer": {"name": "paced", "options": {"pace": 0.05}},
            "budget": {"evaluations": 6 + 3 * kind},
        }
    return {
        "generator": {"name": "toy_lab:decoder"},
        "target": {"name": "toy_lab:network"},
        "units": ["4[1]"],
        "optimizer": {"name": ("random", "cma", "sphere-cma", "xdream", "random")[kind]},
        "budget": {"evaluations": 200},
        "seed": kind,
    }


def found(client: Client, name: str) -> dict[str, Any]:
    """What a job has found, without its times and how often it was begun."""
    return {key: value for key, value in without_times(json.loads(client.download(name, "result.json"))).items() if key != "attempts"}


class Killer(threading.Thread):
    """Kills a server, or a worker of one, at random instants."""

    def __init__(self, cluster: list[ServerProcess], pause: float, share: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.pause, self.share = cluster, pause, share
        self.random = random.Random(seed)
        self.killed = {"worker": 0, "server": 0}
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(self.random.expovariate(1 / self.pause)):
            server = self.random.choice(self.cluster)
            pids = server.workers()
            if self.random.random() < self.share or not pids:
                server.kill()
                self.killed["server"] += 1
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.random.choice(pids), signal.SIGKILL)
                    self.killed["worker"] += 1


def run(folder: Path, database: str, *, jobs: int, pause: float, seed: int, engine: str = "paced", share: float = 0.25) -> dict[str, Any]:
    """Raises AssertionError where a promise was broken."""
    shared = {"database": database, "files": f"file://{folder}/files", "lease_seconds": 4.0, "poll_seconds": 0.3}
    settings = {**shared, "workers": 2, "checkpoint_seconds": 0.3, "max_attempts": 10**6, "max_server_deaths": 10**6}
    kind = PacedServer if engine == "paced" else ServerProcess
    cluster = [kind(folder / f"data{number}", **settings) for number in range(2)]
    killer = Killer(cluster, pause, share, seed)
    chance = random.Random(seed + 1)
    began = time.monotonic()
    try:
        clients = [Client(server.address, patience=60.0, stream_patience=300.0) for server in cluster]
        expected: list[Any] = []
        for number in range(SPECS):
            name = clients[0].create(job(number, engine)).name
            assert clients[0].wait(name).state == job_pb2.JOB_STATE_SUCCEEDED
            expected.append(found(clients[0], name))
            clients[0].delete(name)
        killer.start()
        names: list[str] = []
        for number in range(jobs):
            key = str(uuid.uuid4())
            names.append(patiently(chance.choice(clients).create, job(number, engine), key).name)
            # An acknowledged request is known to both, and known once.
            assert patiently(chance.choice(clients).create, job(number, engine), key).name == names[-1]
        submitted = time.monotonic() - began
        while len(names) > sum(j.state in ENDED for j in patiently(lambda: list(chance.choice(clients).list(page_size=1000)))):
            time.sleep(0.5)
        seconds = time.monotonic() - began
        killer.enough.set()
        killer.join(60)
        all_jobs = list(clients[0].list(page_size=1000))
        assert collections.Counter(j.name for j in all_jobs) == collections.Counter(names), "jobs were lost or doubled"
        listed = {j.name: j for j in all_jobs}
        differing = []
        for number, name in enumerate(names):
            events = [r.event for r in clients[number % 2].watch(name) if r.HasField("event")]
            changes = [event.state_change for event in events if event.HasField("state_change")]
            attempt = listed[name].attempt
            assert [change.state for change in changes if change.state in ENDED] == [job_pb2.JOB_STATE_SUCCEEDED], (name, changes)
            begun = [change.message for change in changes if change.state == job_pb2.JOB_STATE_RUNNING]
            assert begun == [f"attempt {n + 1}" for n in range(attempt)], (name, begun)
            sequences = [event.sequence for event in events]
            assert sequences == sorted(set(sequences)), (name, sequences)
            if found(clients[number % 2], name) != expected[number % SPECS]:
                differing.append(name)
        assert not differing, f"these differ from their undisturbed runs: {differing}"
        for client in clients:
            client.close()
    finally:
        killer.enough.set()
        if killer.is_alive():
            killer.join(60)
        codes = [server.stop() for server in cluster]
    assert codes == [0, 0], codes
    attempts = [listed[name].attempt for name in names]
    return {
        "engine": engine,
        "jobs": jobs,
        "killed": killer.killed,
        "attempts": sum(attempts),
        "jobs_that_were_hit": sum(attempt > 1 for attempt in attempts),
        "most_attempts_of_a_job": max(attempts),
        "terminal_events_a_job": 1,
        "lost": 0,
        "doubled": 0,
        "differing": 0,
        "submitted_after_seconds": round(submitted, 1),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--pause", type=float, default=4.0, help="mean seconds between two kills")
    parser.add_argument("--engine", choices=["paced", "actmax"], default="paced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet") as folder, postgres(Path(folder) / "pg") as database:
        report = run(Path(folder), database.url, jobs=options.jobs, pause=options.pause, seed=options.seed, engine=options.engine)
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"fleet-{options.engine}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
