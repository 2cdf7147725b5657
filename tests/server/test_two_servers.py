"""Several servers on one PostgreSQL: no job runs twice, dead servers' jobs are taken over, servers that only seemed dead are fenced."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from calls import calling, spec

from actmax.server.config import ServerConfig
from actmax.server.execution.lease_manager import LeaseManager
from actmax.server.jobs.lifecycle import Lifecycle
from actmax.server.storage.sql import SqlJobStore
from actmax.v1 import job_pb2

SCRIPT = Path(__file__).with_name("paced_engine.py")
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
LEASE = 1.5


@pytest.fixture
def shared(postgres, tmp_path):
    return {"database": postgres(), "files": f"file://{tmp_path}/files", "lease_seconds": LEASE, "poll_seconds": 0.1}


@asynccontextmanager
async def own_process(data: Path, shared: dict):
    """A server that can be stopped without its workers."""
    command = (sys.executable, str(SCRIPT), str(data), "127.0.0.1:0", json.dumps(shared))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 200)).decode()
        yield process, line.split()[3].rstrip(",")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


def begun(responses) -> list[str]:
    changes = [response.event.state_change for response in responses if response.event.HasField("state_change")]
    return [change.message for change in changes if change.state == job_pb2.JOB_STATE_RUNNING]


async def test_two_servers_share_a_queue_and_each_tells_and_commands_the_others_jobs(serving, shared, tmp_path):
    async with serving(**shared, data=tmp_path / "a") as (_, ann), serving(**shared, data=tmp_path / "b") as (_, bob):
        made = [(await (ann, bob)[n % 2].create(spec(steps=4))).name for n in range(10)]
        watched = await asyncio.gather(*(asyncio.wait_for((bob, ann)[n % 2].watch(name), 200) for n, name in enumerate(made)))
        for name, responses in zip(made, watched, strict=True):
            assert begun(responses) == ["attempt 1"]
            assert await result(ann, name) == await result(bob, name) == {"done": [0, 1, 2, 3], "attempts": 1}
        both = [await ann.create(spec(steps=3000)) for _ in range(2)]  # one on each
        for job in both:
            await bob.until(job.name, lambda job: job.progress.evaluations > 3)
        await bob.suspend(both[0].name)
        await ann.cancel(both[1].name)
        await ann.until(both[0].name, lambda job: job.state == job_pb2.JOB_STATE_SUSPENDED)
        assert (await bob.ended(both[1].name)).state == job_pb2.JOB_STATE_CANCELLED
        await ann.delete(both[0].name)
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await bob.get(both[0].name)


async def test_a_server_that_seemed_dead_is_fenced(serving, shared, tmp_path):
    async with own_process(tmp_path / "a", shared) as (process, address), calling(address) as first:
        made = await first.create(spec(steps=120, pace=0.05))
        await first.until(made.name, lambda job: job.progress.evaluations > 5)
        os.kill(process.pid, signal.SIGSTOP)  # its worker goes on, and writes
        async with serving(**shared, data=tmp_path / "b") as (_, calls):
            again = await calls.until(made.name, lambda job: job.attempt == 2)
            os.kill(process.pid, signal.SIGCONT)  # it has a worker, and believes that the job is its own
            done = await calls.ended(made.name)
            assert (done.state, done.attempt) == (SUCCEEDED, 2)
            found = await result(calls, made.name)
            assert (found["done"], found["attempts"]) == (list(range(120)), 2)
            responses = await calls.watch(made.name)
            assert begun(responses) == ["attempt 1", "attempt 2"]
            after = [r.event for r in responses if r.event.sequence > 0 and r.event.attempt == 1]
            last = max(event.sequence for event in after)
            assert all(r.event.attempt == 2 for r in responses if r.event.sequence > last)
            assert again.progress.evaluations <= done.progress.evaluations == 120
            # It goes on to serve, under another name.
            other = await first.create(spec(steps=1))
            assert (await first.ended(other.name)).state == SUCCEEDED


async def test_killed_servers_lose_and_double_nothing(serving, shared, tmp_path):
    async with serving(**shared, data=tmp_path / "a", workers=2) as (_, calls):
        names: list[str] = []
        for round_ in range(2):
            async with own_process(tmp_path / "b", shared) as (process, address), calling(address) as doomed:
                for _ in range(6):
                    names.append((await doomed.create(spec(steps=20))).name)
                await asyncio.sleep(0.7 + 0.4 * round_)
                process.kill()
        ends = await asyncio.gather(*(calls.ended(name) for name in names))
        assert [job.state for job in ends] == [SUCCEEDED] * len(names)
        for name, job in zip(names, ends, strict=True):
            assert begun(await calls.watch(name)) == [f"attempt {n + 1}" for n in range(job.attempt)]
            assert (await result(calls, name))["done"] == list(range(20))
        assert collections.Counter(job.name for job in (await calls.page(100)).jobs) == collections.Counter(names)


async def test_a_database_that_is_gone_for_a_while_loses_nothing_and_makes_no_server_seem_dead(serving, shared, tmp_path):
    async with serving(**shared, data=tmp_path / "a") as (server, calls), serving(**shared, data=tmp_path / "b") as (_, other):
        long, short = [(await calls.create(spec(steps=steps, pace=0.05))).name for steps in (150, 40)]  # one on each
        for name in (long, short):
            await calls.until(name, lambda job: job.progress.evaluations > 5)
        url = server.store.engine.url
        admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

        def allow(yes: bool) -> None:
            with admin.connect() as connection:
                connection.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS {yes}"))
                connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'"))

        await asyncio.to_thread(allow, False)
        gone = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calls.get(long)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert calls.retry_seconds(caught.value) > 0
        await asyncio.sleep(max(0.0, gone + 2 * LEASE + 1 - time.monotonic()))  # the shorter one has ended, which nobody could keep
        await asyncio.to_thread(allow, True)
        admin.dispose()
        for name, steps in ((long, 150), (short, 40)):
            done = await other.ended(name)
            assert (done.state, done.attempt) == (SUCCEEDED, 1)
            assert (await result(other, name))["done"] == list(range(steps))


def test_a_server_is_dead_only_where_it_was_watched_for_all_of_the_lease(tmp_path, monkeypatch):
    store = SqlJobStore("sqlite://")
    lifecycle = Lifecycle(store, lambda _: None)
    job, _ = lifecycle.create(job_pb2.JobSpec(), 0, "")
    now = 0.0
    monkeypatch.setattr("actmax.server.execution.lease_manager.time", SimpleNamespace(monotonic=lambda: now))
    mine: Any = SimpleNamespace(holder="mine", wake=lambda: None)
    config = ServerConfig(data=tmp_path, lease_seconds=10.0)
    steward = LeaseManager(config, store, lifecycle, Any, mine, Any, "127.0.0.1:1")  # type: ignore[arg-type]
    store.beat("other", "", first=True)
    lifecycle.claim("other")

    def looks(*times: float) -> str:
        nonlocal now
        for time_ in times:
            now = time_
            steward._look_around()
        held = store.get(job.id)
        assert held is not None
        return held.holder

    assert looks(0.0, 2.5, 5.0) == "other"
    assert looks(35.0) == "other"  # the database was gone: the other one could show nothing
    assert looks(37.5, 40.0, 42.5, 45.0) == "other"
    store.beat("other", "")
    assert looks(47.5, 50.0, 52.5, 55.0, 57.5) == "other"
    assert looks(60.0) == ""
    assert dict(store.beats()) == {}
    store.close()
