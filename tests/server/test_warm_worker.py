"""The worker that waits for its job with everything imported."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from calls import calling, spec
from google.protobuf.json_format import ParseDict
from paced_engine import SlowToWarm
from test_restarts import own_process

from actmax.models.permissions import Permissions
from actmax.server.execution.engine import ActmaxEngine
from actmax.server.execution.task import WorkerTask, decode_task, encode_task
from actmax.server.observing.logs import Logs
from actmax.v1 import job_pb2

SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
ORDER = WorkerTask(
    "ab12",
    3,
    {"units": ["a[0]"], "x": 0.1, "n": 2**60},
    Path("/x/y"),
    Permissions(("a",), ("b/",), any_file=True),
    2,
    0.5,
    "1",
    Logs(10, as_json=True),
)


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def gone(*pids: int, seconds: float = 200.0) -> None:
    async with asyncio.timeout(seconds):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


def test_an_order_goes_there_as_it_is():
    assert decode_task(encode_task(ORDER)) == ORDER
    assert decode_task(encode_task(replace(ORDER, device="", permissions=Permissions()))) == replace(
        ORDER, device="", permissions=Permissions()
    )


async def test_a_job_is_run_by_what_stood_by_and_the_next_one_by_another(serving):
    async with serving(standby=True) as (server, calls):
        pids = []
        for _ in range(2):
            pids.append(server.executor.standby.pid)
            assert alive(pids[-1])
            made = await calls.create(spec(steps=30))
            await calls.until(made.name, lambda job: job.progress.evaluations > 2)
            assert list(server.executor.processes().values()) == [pids[-1]]
            done = await calls.ended(made.name)
            assert (done.state, done.attempt) == (SUCCEEDED, 1)
            assert json.loads(b"".join((await calls.download(made.name, "result.json"))[1])) == {
                "done": list(range(30)),
                "attempts": 1,
            }
        pids.append(server.executor.standby.pid)
        assert len(set(pids)) == 3
        assert not alive(pids[0])
    await gone(*pids)


async def test_without_one_each_job_has_a_fresh_process(serving):
    async with serving(standby=False) as (server, calls):
        assert server.executor.standby is None
        assert (await calls.ended((await calls.create(spec(steps=1))).name)).state == SUCCEEDED


async def test_one_that_died_while_it_waited_costs_no_attempt(serving):
    async with serving(standby=True, max_attempts=1) as (server, calls):
        pid = server.executor.standby.pid
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
        done = await calls.ended((await calls.create(spec(steps=2))).name)
        assert (done.state, done.attempt) == (SUCCEEDED, 1)
        assert server.executor.standby.pid not in (0, pid)


async def test_a_worker_that_stood_by_is_commanded_and_killed_as_any_other(serving):
    async with serving(standby=True, devices=("7",)) as (server, calls):
        waiting = server.executor.standby.pid
        made = await calls.create(spec(steps=5000, device=1))
        await calls.until(made.name, lambda job: job.progress.evaluations > 2)
        assert list(server.executor.processes().values()) == [waiting]
        os.kill(waiting, signal.SIGKILL)
        await calls.until(made.name, lambda job: job.attempt == 2)
        await calls.suspend(made.name)
        await calls.until(made.name, lambda job: job.state == job_pb2.JOB_STATE_SUSPENDED)
        await calls.resume(made.name)
        await calls.cancel(made.name)
        assert (await calls.ended(made.name)).state == job_pb2.JOB_STATE_CANCELLED
        assert b"".join((await calls.download(made.name, "device.txt"))[1]) == b"7"


async def test_one_that_is_not_ready_yet_is_taken_and_hears_of_a_cancellation(serving):
    async with serving(engine=SlowToWarm(), standby=True) as (server, calls):
        waiting = server.executor.standby.pid
        first, second = await asyncio.gather(*(calls.create(spec(steps=steps)) for steps in (5000, 2)))
        await calls.until(first.name, lambda job: job.state == job_pb2.JOB_STATE_RUNNING)
        await calls.cancel(first.name)
        assert (await calls.ended(first.name)).state == job_pb2.JOB_STATE_CANCELLED
        assert (await calls.ended(second.name)).state == SUCCEEDED
        assert server.executor.standby.pid not in (0, waiting)


async def test_it_ends_with_its_server_however_that_ends(tmp_path):
    async with own_process(tmp_path / "data", standby=True) as (process, address), calling(address) as calls:
        assert (await calls.ended((await calls.create(spec(steps=1))).name)).state == SUCCEEDED
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        await process.wait()
        await gone(*children)


async def test_the_true_engine_finds_the_same_bits_in_one_that_stood_by(serving, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fixtures"))
    plain = {
        "generator": {"name": "toy_lab:decoder"},
        "target": {"name": "toy_lab:network"},
        "units": ["4[1]"],
        "optimizer": {"name": "cma"},
        "budget": {"evaluations": 200},
        "seed": 3,
    }
    async with serving(engine=ActmaxEngine(), standby=True, allow_imports=("toy_lab",), threads=1) as (server, calls):
        found, seconds = [], []
        for fresh in (False, True):
            pid = server.executor.standby.pid
            if fresh:
                os.kill(pid, signal.SIGKILL)
                await gone(pid)
            else:  # until it has imported what it needs it sleeps no more than others
                async with asyncio.timeout(200):
                    while "torch" not in Path(f"/proc/{pid}/maps").read_text() or psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
                        await asyncio.sleep(0.2)
            began = time.monotonic()
            made = await calls.create(ParseDict(plain, job_pb2.JobSpec()))
            created = time.monotonic()
            await calls.until(made.name, lambda job: job.progress.evaluations > 0, 180)
            seconds.append((round(created - began, 2), round(time.monotonic() - created, 2)))
            assert (await calls.ended(made.name)).state == SUCCEEDED
            with np.load(io.BytesIO(b"".join((await calls.download(made.name, "arrays.npz"))[1]))) as file:
                found.append({key: file[key].tobytes() for key in file if "second" not in key})
        print("seconds to create, and to the first progress, by what stood by and by a fresh process:", seconds)
        assert found[0] == found[1]
