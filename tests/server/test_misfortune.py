"""Workers that die, fail, or lose their server."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy.event
from calls import spec

from actmax.server.execution.worker import failure
from actmax.v1 import job_pb2


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def gone(pid: int, seconds: float = 200.0) -> None:
    async with asyncio.timeout(seconds):
        while alive(pid):
            await asyncio.sleep(0.02)


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


async def test_a_killed_worker_is_replaced_and_goes_on(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=80))
        await calls.until(made.name, lambda job: job.progress.evaluations > 5)
        (pid,) = server.executor.processes().values()
        os.kill(pid, signal.SIGKILL)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, made.name) == {"done": list(range(80)), "attempts": 2}
        told = [response.event.state_change.message for response in await calls.watch(made.name)]
        assert any("SIGKILL" in message and "try 2 of 3" in message for message in told)
        attempts = {r.event.attempt for r in await calls.watch(made.name) if r.event.WhichOneof("content") == "progress"}
        assert attempts == {1, 2}


@pytest.mark.parametrize(("mishap", "why"), [("sigkill", "SIGKILL"), ("exit", "exit code 3")])
async def test_a_job_that_kills_every_worker_is_given_up(serving, mishap, why):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=3, mishap=mishap, at=1, until=99))
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_FAILED, 3)
        assert done.error.code == "RESOURCE_EXHAUSTED"
        assert why in done.error.message
        assert "3 times" in done.error.message
        assert (await calls.ended((await calls.create(spec(steps=1))).name)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_a_worker_that_is_terminated_stops_at_a_checkpoint_and_counts_as_no_crash(serving):
    async with serving(max_attempts=1) as (server, calls):
        made = await calls.create(spec(steps=60))
        await calls.until(made.name, lambda job: job.progress.evaluations > 5)
        (pid,) = server.executor.processes().values()
        os.kill(pid, signal.SIGTERM)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert (await result(calls, made.name))["done"] == list(range(60))


@pytest.mark.parametrize(
    ("mishap", "code", "words"),
    [
        ("disk", "RESOURCE_EXHAUSTED", "No space left on device (checkpoint.json)"),
        ("memory", "RESOURCE_EXHAUSTED", "not enough memory"),
        ("permission", "FAILED_PRECONDITION", "Permission denied"),
        ("vanished", "FAILED_PRECONDITION", "the file is gone"),
        ("bug", "INTERNAL", "ZeroDivisionError: division by zero"),
    ],
)
async def test_what_trying_again_would_not_help_fails_at_once(serving, mishap, code, words):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=3, mishap=mishap, at=1))
        done = await calls.ended(made.name)
        assert (done.state, done.attempt, done.error.code) == (job_pb2.JOB_STATE_FAILED, 1, code)
        assert words in done.error.message
        assert await calls.artifacts(made.name) == {}
        last = (await calls.watch(made.name))[-1].event.state_change
        assert (last.state, last.message) == (job_pb2.JOB_STATE_FAILED, done.error.message)


@pytest.mark.parametrize(("mishap", "words"), [("full", "File too large"), ("gobble", "not enough memory")])
async def test_what_has_run_out_is_told_and_the_job_goes_on_once_there_is_more(serving, mishap, words):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=30, mishap=mishap, at=20))
        failed = await calls.ended(made.name)
        assert (failed.state, failed.attempt, failed.error.code) == (job_pb2.JOB_STATE_FAILED, 1, "RESOURCE_EXHAUSTED")
        assert words in failed.error.message
        assert failed.progress.evaluations == 20
        await calls.resume(made.name)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, made.name) == {"done": list(range(30)), "attempts": 2}  # from its checkpoint


async def test_an_artifact_store_that_cannot_be_written_costs_no_result(serving, tmp_path):
    store, away = tmp_path / "store", tmp_path / "away"
    async with serving(files=f"file://{store}", checkpoint_seconds=0.05) as (_, calls):
        made = await calls.create(spec(steps=40))
        await calls.until(made.name, lambda job: job.progress.evaluations > 10)
        store.rename(away)
        store.write_text("nothing can be made below this")  # chmod would not hold root back
        failed = await calls.ended(made.name)
        assert (failed.state, failed.attempt, failed.error.code) == (job_pb2.JOB_STATE_FAILED, 3, "RESOURCE_EXHAUSTED")
        assert os.strerror(errno.ENOTDIR) in failed.error.message
        assert await calls.artifacts(made.name) == {}
        store.unlink()
        away.rename(store)
        await calls.resume(made.name)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 4)
        assert (await result(calls, made.name))["done"] == list(range(40))


def test_a_gpu_out_of_memory_is_told_as_such():
    class OutOfMemoryError(RuntimeError):
        """Named as torch's."""

    assert failure(OutOfMemoryError("CUDA")).code == "RESOURCE_EXHAUSTED"
    assert failure(OSError(errno.EDQUOT, "Disk quota exceeded")).code == "RESOURCE_EXHAUSTED"


async def test_a_cancelled_job_whose_worker_dies_still_gets_its_findings_written(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=5000, pace=0.5))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        (pid,) = server.executor.processes().values()
        os.kill(pid, signal.SIGSTOP)
        assert (await calls.cancel(made.name)).state == job_pb2.JOB_STATE_CANCELLING
        os.kill(pid, signal.SIGKILL)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_CANCELLED, 2)
        assert 1 <= len((await result(calls, made.name))["done"]) <= 3


async def test_a_disk_that_is_full_for_a_while_loses_no_end(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=40))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        full = True

        @sqlalchemy.event.listens_for(server.store.engine, "begin")
        def limit(connection):
            # SQLite's own refusal to write, at any size.
            connection.exec_driver_sql(f"PRAGMA query_only = {int(full)}")

        await asyncio.sleep(2)
        assert (await calls.get(made.name)).state == job_pb2.JOB_STATE_RUNNING
        full = False
        assert (await calls.ended(made.name)).state == job_pb2.JOB_STATE_SUCCEEDED
        assert (await result(calls, made.name))["done"] == list(range(40))


async def test_artifacts_that_cannot_be_published_are_made_again(serving, tmp_path):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=40))
        (tmp_path / "data" / made.name / "artifacts-1" / "in the way").mkdir(parents=True)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert (await result(calls, made.name))["done"] == list(range(40))
        told = [response.event.state_change.message for response in await calls.watch(made.name)]
        assert any("could not be published" in message for message in told)


async def test_a_clock_that_jumps_changes_no_job(serving, monkeypatch):
    async with serving(keep_alive_seconds=0.2) as (_, calls):
        made = await calls.create(spec(steps=60))
        watching = asyncio.create_task(calls.watch(made.name))
        for days in (-400, 400, 0):
            await asyncio.sleep(0.2)
            monkeypatch.setattr("actmax.server.jobs.lifecycle.now", lambda days=days: time.time_ns() // 1000 + days * 86_400 * 10**6)
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 1)
        sequences = [r.event.sequence for r in await asyncio.wait_for(watching, 200) if r.event.sequence]
        assert sequences == sorted(set(sequences))


async def test_workers_see_the_devices_that_are_dealt_to_them(serving):
    async with serving(workers=2, devices=("3", "7")) as (_, calls):
        made = [(await calls.create(spec(steps=80, device=1))).name for _ in range(2)]
        seen = set()
        for name in made:
            await calls.ended(name)
            seen.add(b"".join((await calls.download(name, "device.txt"))[1]))
        assert seen == {b"3", b"7"}


async def test_the_checking_process_is_replaced_when_it_was_killed(serving):
    async with serving() as (server, calls):
        before = server.inspector.pid
        os.kill(before, signal.SIGKILL)
        await gone(before)
        assert (await calls.create(spec(steps=1))).name
        assert server.inspector.pid not in (0, before)


async def test_a_stopped_server_leaves_no_process(serving):
    async with serving(workers=2) as (server, calls):
        for _ in range(2):
            made = await calls.create(spec(steps=5000))
            await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        pids = [*server.executor.processes().values(), server.inspector.pid]
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


async def test_a_worker_that_does_not_stop_is_killed_in_time(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=5000))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        (pid,) = server.executor.processes().values()
        os.kill(pid, signal.SIGSTOP)
        await server.stop(1.0)
        assert not alive(pid)  # it was killed: a stopped process ends in no other way
