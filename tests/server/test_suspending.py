"""Jobs that wait, go on, and are forgotten, over the wire."""

import asyncio
import json
import os
import signal

import grpc
from calls import refused, spec

from actmax.v1 import job_pb2, job_service_pb2

PENDING, RUNNING, SUSPENDED = job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_SUSPENDED
WRONG = grpc.StatusCode.FAILED_PRECONDITION


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


async def test_a_running_job_is_suspended_at_a_checkpoint_and_goes_on_from_it(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=150))
        await calls.until(made.name, lambda job: job.progress.evaluations > 5)
        asked = await calls.suspend(made.name)
        assert (asked.state, asked.suspending) == (RUNNING, True)
        waits = await calls.until(made.name, lambda job: job.state == SUSPENDED)
        assert not waits.suspending
        other = await calls.create(spec(steps=1))  # the worker is free for others
        await calls.ended(other.name)
        assert (await calls.get(made.name)) == waits
        await server.stop()
    async with serving() as (_, calls):  # it goes on waiting after a restart
        await asyncio.sleep(0.3)
        assert (await calls.get(made.name)).state == SUSPENDED
        assert (await calls.resume(made.name)).state == PENDING
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, made.name) == {"done": list(range(150)), "attempts": 2}
        async with refused(WRONG, match="SUCCEEDED"):
            await calls.suspend(made.name)
        async with refused(WRONG, match="SUCCEEDED"):
            await calls.resume(made.name)


async def test_a_waiting_job_is_suspended_at_once(serving):
    async with serving() as (_, calls):
        first, second = await calls.create(spec(steps=5000)), await calls.create(spec(steps=1))
        assert (await calls.suspend(second.name)).state == SUSPENDED
        assert (await calls.suspend(second.name)).state == SUSPENDED
        await calls.cancel(first.name)
        await calls.ended(first.name)
        assert (await calls.get(second.name)).attempt == 0
        await calls.resume(second.name)
        await calls.resume(second.name)
        assert (await calls.ended(second.name)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_a_worker_that_dies_while_it_suspends_leaves_a_suspended_job(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=5000, pace=0.3))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        (pid,) = server.executor.processes().values()
        os.kill(pid, signal.SIGSTOP)
        await calls.suspend(made.name)
        os.kill(pid, signal.SIGKILL)
        await calls.until(made.name, lambda job: job.state == SUSPENDED)
        assert (await calls.cancel(made.name)).state == job_pb2.JOB_STATE_CANCELLING
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_CANCELLED
        assert (await result(calls, made.name))["done"]  # what was found is written


async def test_a_failed_job_goes_on_from_its_checkpoint_once_it_can(serving, tmp_path):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=20, mishap="disk", at=7))
        failed = await calls.ended(made.name)
        assert (failed.state, failed.error.code) == (job_pb2.JOB_STATE_FAILED, "RESOURCE_EXHAUSTED")
        assert not (await calls.resume(made.name)).HasField("error")
        done = await calls.ended(made.name)
        assert (done.state, done.attempt) == (job_pb2.JOB_STATE_SUCCEEDED, 2)
        assert await result(calls, made.name) == {"done": list(range(20)), "attempts": 2}


async def test_a_deleted_job_leaves_nothing(serving, tmp_path):
    async with serving() as (_, calls):
        key = "123e4567-e89b-42d3-a456-426614174000"
        made = await calls.create(spec(steps=5000), key)
        failed = await calls.create(spec(steps=3, mishap="bug", at=1))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        async with refused(WRONG, match="RUNNING"):
            await calls.delete(made.name)
        watch = asyncio.create_task(calls.watch(made.name))
        await calls.suspend(made.name)
        await calls.until(made.name, lambda job: job.state == SUSPENDED)
        await calls.ended(failed.name)
        for name in (made.name, failed.name):
            assert (tmp_path / "data" / name).is_dir()
            await calls.delete(name)
            assert not (tmp_path / "data" / name).exists()
            for call in (calls.get, calls.delete, calls.watch, calls.artifacts):
                async with refused(grpc.StatusCode.NOT_FOUND):
                    await call(name)
        async with refused(grpc.StatusCode.NOT_FOUND):
            await asyncio.wait_for(watch, 200)
        async with refused(grpc.StatusCode.ALREADY_EXISTS, match="deleted"):
            await calls.create(spec(steps=5000), key)
        assert not (await calls.page()).jobs


async def test_two_writers_meet(serving):
    async with serving() as (_, calls):
        first, made = await calls.create(spec(steps=5000)), await calls.create(spec(steps=1))
        suspended = await calls.suspend(made.name, made.etag)
        assert suspended.etag != made.etag
        for call in (calls.cancel, calls.resume, calls.suspend, calls.delete):
            async with refused(grpc.StatusCode.ABORTED, match="SUSPENDED"):
                await call(made.name, made.etag)
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "etag"):
                await call(made.name, "nonsense")
        assert (await calls.resume(made.name, suspended.etag)).state == PENDING
        await calls.cancel(first.name)


async def test_labels_priorities_and_times(serving):
    async with serving() as (_, calls):
        running = await calls.create(spec(steps=5000))
        await calls.until(running.name, lambda job: job.state == RUNNING)
        low = await calls.create(spec(steps=1), labels={"lab": "a", "mouse": "7"})
        high = await calls.create(spec(steps=1), priority=10, labels={"lab": "a"})
        assert (high.priority, dict(low.labels)) == (10, {"lab": "a", "mouse": "7"})

        async def listed(**which) -> list[str]:
            return [job.name for job in (await calls.jobs.ListJobs(job_service_pb2.ListJobsRequest(**which))).jobs]

        assert await listed(labels={"lab": "a"}) == [high.name, low.name]
        assert await listed(labels={"lab": "a", "mouse": "7"}) == [low.name]
        assert await listed(labels={"lab": "b"}) == []
        assert await listed(created_since=low.create_time) == [high.name, low.name]
        assert await listed(created_until=low.create_time) == [running.name]
        page = await calls.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=1, labels={"lab": "a"}))
        assert await listed(page_token=page.next_page_token, labels={"lab": "a"}) == [low.name]
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "page_token"):
            await listed(page_token=page.next_page_token, labels={"lab": "b"})
        await calls.cancel(running.name)
        first, second = await calls.ended(high.name), await calls.ended(low.name)
        assert first.end_time.ToNanoseconds() <= second.start_time.ToNanoseconds()
        for labels in ({"": "x"}, {"k" * 64: "x"}, {"k": "x" * 256}, {"ä": "x"}, {str(n): "x" for n in range(65)}):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT):
                await calls.create(spec(), labels=labels)
        for priority in (101, -101):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "priority"):
                await calls.create(spec(), priority=priority)


async def test_one_owner_fills_no_queue(serving):
    async with serving(max_queued_per_owner=2, max_stored_bytes_per_owner=1) as (_, calls):
        running = await calls.create(spec(steps=5000))
        await calls.until(running.name, lambda job: job.state == RUNNING)
        waiting = [await calls.create(spec()) for _ in range(2)]
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="2 jobs of yours wait") as found:
            await calls.create(spec())
        assert calls.retry_seconds(found[0]) > 0
        await calls.cancel(running.name)
        done = await calls.ended(running.name)
        assert done.artifact_bytes > 0
        for job in waiting:
            await calls.ended(job.name)
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="delete some jobs"):
            await calls.create(spec())


async def test_part_of_an_artifact(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=1, kilobytes=400))
        await calls.ended(made.name)
        whole = b"".join((await calls.download(made.name, "stimuli/one.png"))[1])
        for offset, length in ((0, 1), (5, 300_000), (len(whole) - 2, 100), (len(whole), 1)):
            part = b"".join((await calls.download(made.name, "stimuli/one.png", offset, length))[1])
            assert part == whole[offset : offset + length]
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "length"):
            await calls.download(made.name, "stimuli/one.png", 0, -1)
