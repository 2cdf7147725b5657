"""One server with many queued jobs and many watchers: how long calls take, how late events come, and what that costs in memory.

python -m benchmarks.service.load --jobs 1000 --watchers 200 --out benchmarks/service/results
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import psutil

from actmax.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "server" / "paced_engine.py"


def spec(steps: int, pace: float) -> job_pb2.JobSpec:
    made = job_pb2.JobSpec(units=["out[0]"], budget=job_pb2.Budget(evaluations=steps))
    made.generator.name, made.target.name, made.optimizer.name = "g", "known", "paced"
    made.optimizer.options.update({"pace": pace})
    return made


def summary(seconds: list[float]) -> dict[str, float]:
    p50, p90, p99 = np.percentile(np.array(seconds) * 1000, [50, 90, 99]).round(2)
    return {"p50_ms": float(p50), "p90_ms": float(p90), "p99_ms": float(p99), "calls": len(seconds)}


async def measure(folder: Path, jobs: int, watchers: int, database: str) -> dict[str, Any]:
    settings = json.dumps({"database": database, "checkpoint_seconds": 5})
    command = (sys.executable, str(SCRIPT), str(folder / "data"), "127.0.0.1:0", settings)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().split()[3].rstrip(",")
    server = psutil.Process(process.pid)
    report: dict[str, Any] = {"database": database.split(":")[0] or "sqlite", "memory_idle_mb": round(server.memory_info().rss / 2**20, 1)}
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = job_service_pb2_grpc.JobServiceStub(channel)

            async def create(steps: int = 1, pace: float = 0.0) -> tuple[str, float]:
                began = time.perf_counter()
                request = job_service_pb2.CreateJobRequest(spec=spec(steps, pace), request_id=str(uuid.uuid4()))
                name = (await stub.CreateJob(request)).name
                return name, time.perf_counter() - began

            # The first job holds the only worker: 60 s of an event every 0.1 s or so.
            first, _ = await create(600, 0.1)
            created = [await create() for _ in range(jobs)]
            report["create"] = summary([seconds for _, seconds in created])
            report["memory_queued_mb"] = round(server.memory_info().rss / 2**20, 1)

            first_answer: list[float] = []
            delays: list[tuple[float, float]] = []
            stopped = asyncio.Event()

            async def watch() -> None:
                began = time.perf_counter()
                stream = stub.WatchJob(job_service_pb2.WatchJobRequest(name=first))
                await stream.read()
                first_answer.append(time.perf_counter() - began)
                joined = time.time()
                while not stopped.is_set():
                    response = await stream.read()
                    if not isinstance(response, job_service_pb2.WatchJobResponse):
                        return
                    if response.HasField("event") and response.event.time.ToMicroseconds() / 1e6 > joined:
                        now = time.time()
                        delays.append((now, now - response.event.time.ToMicroseconds() / 1e6))
                stream.cancel()

            tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
            while len(first_answer) < watchers:
                await asyncio.sleep(0.1)
            report["watch_first_answer"] = summary(first_answer)
            delays.clear()
            middle = time.time() + 7
            await asyncio.sleep(14)
            stopped.set()
            report["memory_watched_mb"] = round(server.memory_info().rss / 2**20, 1)
            await asyncio.gather(*tasks, return_exceptions=True)
            report["event_delay"] = summary([delay for _, delay in delays])
            earlier, later = (sum(1 for at, _ in delays if (at < middle) is half) for half in (True, False))
            report["events_a_second_per_watcher"] = [round(number / watchers / 7, 2) for number in (earlier, later)]

            listed: list[float] = []
            for _ in range(20):
                at = time.perf_counter()
                await stub.ListJobs(job_service_pb2.ListJobsRequest(page_size=50))
                listed.append(time.perf_counter() - at)
            report["list_50"] = summary(listed)
            await stub.CancelJob(job_service_pb2.CancelJobRequest(name=first))
    finally:
        process.terminate()
        await process.wait()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(measure(Path(folder), options.jobs, options.watchers, ""))
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "load.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
