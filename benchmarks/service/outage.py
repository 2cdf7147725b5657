"""The PostgreSQL of two servers is gone for half a minute, under jobs, watches and creates: what is told meanwhile, and what is lost.

python -m benchmarks.service.outage --seconds 30 --out benchmarks/service/results
"""

from __future__ import annotations

import argparse
import collections
import json
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import grpc

from actmax.client import Client
from actmax.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from actmax.wire.status import from_rpc
from benchmarks.service.cluster import PacedServer, Postgres, postgres

CALL_SECONDS = 20.0
"""Longest that a call may take to say that the database is gone."""


def job(evaluations: int) -> dict[str, Any]:
    return {
        "generator": {"name": "g"},
        "target": {"name": "known"},
        "units": ["out[0]"],
        "optimizer": {"name": "paced", "options": {"pace": 0.1}},
        "budget": {"evaluations": evaluations},
    }


class Watcher(threading.Thread):
    """Follows a job to its end, through whatever comes."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(daemon=True)
        self.address, self.name_ = address, name
        self.changes: list[tuple[int, int]] = []
        self.error = ""

    def run(self) -> None:
        try:
            with Client(self.address, stream_patience=300) as client:
                for response in client.watch(self.name_):
                    if response.event.HasField("state_change"):
                        self.changes.append((response.event.sequence, response.event.state_change.state))
        except Exception as error:
            self.error = repr(error)


class Creator(threading.Thread):
    """Creates a job a second, each request again until it is answered; keeps what was told meanwhile."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.names: list[str] = []
        self.refusals: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.without_a_time = 0
        self.enough = threading.Event()

    def run(self) -> None:
        from actmax.client.jobs import jobfile

        spec = jobfile.from_plain(job(2))
        with grpc.insecure_channel(self.address) as channel:
            stub = job_service_pb2_grpc.JobServiceStub(channel)
            while not self.enough.is_set():
                request = job_service_pb2.CreateJobRequest(spec=spec, request_id=str(uuid.uuid4()))
                while True:
                    began = time.monotonic()
                    try:
                        self.names.append(stub.CreateJob(request, timeout=60).name)
                        break
                    except grpc.RpcError as error:
                        told = from_rpc(error, self.address)
                        self.refusals[f"{told.code} {told.reason}"] += 1
                        self.without_a_time += not told.retry_seconds
                        self.slowest = max(self.slowest, time.monotonic() - began)
                        time.sleep(min(1.0, told.retry_seconds))
                self.enough.wait(1.0)


def run(folder: Path, database: Postgres, *, seconds: float, lease: float = 15.0, after: float = 60.0) -> dict[str, Any]:
    """Raises AssertionError where a promise was broken.

    Parameters
    ----------
    seconds : float
        That the database is gone.
    lease : float
        Of the servers.
    after : float
        Seconds by which all must have ended once the database is back.
    """
    settings = {"database": database.url, "files": f"file://{folder}/files", "workers": 2, "lease_seconds": lease, "poll_seconds": 0.5}
    cluster = [PacedServer(folder / f"data{number}", **settings) for number in range(2)]
    watchers: list[Watcher] = []
    creator = Creator(cluster[1].address)
    try:
        with Client(cluster[0].address, patience=300, timeout=120) as client:
            # One ends while the database is gone, three go on through it: they keep every worker of both servers busy.
            lengths = [int(5 * seconds), *[int(10 * seconds) + 100] * 3]
            names = [client.create(job(length)).name for length in lengths]
            for number, name in enumerate(names):
                watchers.append(Watcher(cluster[number % 2].address, name))
                watchers[-1].start()
            while any(client.get(name).progress.evaluations < 5 for name in names):
                time.sleep(0.2)
            creator.start()
            time.sleep(2.0)
            database.stop()
            stopped = time.monotonic()
            while time.monotonic() < stopped + seconds:
                time.sleep(0.2)
            database.start()
            back = time.monotonic()
            client.get(names[0])
            first_answer = time.monotonic() - back
            time.sleep(2.0)
            creator.enough.set()
            creator.join(60)
            assert not creator.is_alive()
            ended = [client.wait(name) for name in [*names, *creator.names]]
            recovered = time.monotonic() - back
            for watcher in watchers:
                watcher.join(60)
            states = {job_pb2.JobState.Name(one.state) for one in ended}
            assert states == {"JOB_STATE_SUCCEEDED"}, states
            attempts = [one.attempt for one in ended]
            assert set(attempts) == {1}, f"no worker was ended, and no server was taken for dead: {attempts}"
            for name, length in zip(names, lengths, strict=True):
                assert json.loads(client.download(name, "result.json")) == {"done": list(range(length)), "attempts": 1}
            listed = collections.Counter(one.name for one in client.list(page_size=1000))
            assert listed == collections.Counter([*names, *creator.names]), "jobs were lost or doubled"
        for watcher in watchers:
            assert not watcher.error, watcher.error
            sequences = [sequence for sequence, _ in watcher.changes]
            assert sequences == sorted(set(sequences))
            expected = [job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_SUCCEEDED]
            assert [state for _, state in watcher.changes] == expected, watcher.changes
        assert set(creator.refusals) == {"UNAVAILABLE STORAGE_UNAVAILABLE"}, creator.refusals
        assert creator.without_a_time == 0
        assert creator.slowest < CALL_SECONDS, creator.slowest
        assert recovered < 3 * seconds + after, recovered
    finally:
        creator.enough.set()
        codes = [server.stop() for server in cluster]
    assert codes == [0, 0], codes
    return {
        "database_gone_seconds": seconds,
        "lease_seconds": lease,
        "jobs": len(attempts),
        "attempts": sum(attempts),
        "refused_creates": dict(creator.refusals),
        "slowest_refusal_seconds": round(creator.slowest, 2),
        "first_answer_after_seconds": round(first_answer, 2),
        "all_ended_after_seconds": round(recovered, 1),
        "lost": 0,
        "doubled": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outage") as folder, postgres(Path(folder) / "pg") as database:
        report = run(Path(folder), database, seconds=options.seconds)
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "outage.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
