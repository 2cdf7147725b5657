"""Analyses of jobs that have ended: jobs of their own, whose sections join the analysed job's results at once or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid

import grpc
from calls import refused, spec

from actmax.v1 import job_pb2, job_service_pb2

SUCCEEDED, FAILED, CANCELLED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED
RUNNING, PENDING, SUSPENDED = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_SUSPENDED
NOT_YET = grpc.StatusCode.FAILED_PRECONDITION


async def result(calls, name: str) -> dict:
    return json.loads(b"".join((await calls.download(name, "result.json"))[1]))


async def whole(calls, name: str) -> dict[str, bytes]:
    """All artifacts of a job, each with the digest that was announced."""
    found = {}
    for path, artifact in (await calls.artifacts(name)).items():
        told, parts = await calls.download(name, path)
        found[path] = b"".join(parts)
        assert told == artifact
        assert hashlib.sha256(found[path]).hexdigest() == artifact.sha256
    return found


async def ended_job(calls, **changes) -> job_pb2.Job:
    return await calls.ended((await calls.create(spec(2, **changes))).name)


def counted(found: dict) -> list[int]:
    return [section["counted"] for section in found.get("sections", [])]


async def test_sections_join_the_results_when_the_analysis_has_ended(serving):
    async with serving() as (server, calls):
        job = await ended_job(calls, title="seen")
        before = await whole(calls, job.name)
        queued = await calls.analyse(job.name, {"steps": 30, "pace": 0.03}, labels={"why": "look"}, priority=3)
        assert (queued.analysis_of, queued.state, queued.spec.title) == (job.name, PENDING, "seen")
        assert (queued.priority, queued.labels, [one.name for one in queued.spec.analyses]) == (3, {"why": "look"}, ["count"])
        await calls.until(queued.name, lambda now: "counting" in now.progress.stage)
        assert await whole(calls, job.name) == before
        assert await calls.artifacts(queued.name) == {}
        done = await calls.ended(queued.name)
        assert (done.state, done.attempt, done.artifact_bytes) == (SUCCEEDED, 1, 0)
        after = await whole(calls, job.name)
        assert set(after) == {*before, "section-1.png"}
        assert {path: after[path] for path in before if path != "result.json"} == {k: v for k, v in before.items() if k != "result.json"}
        assert counted(json.loads(after["result.json"])) == [30]
        assert await whole(calls, queued.name) == after
        now = await calls.get(job.name)
        assert (now.state, now.spec, now.attempt, now.artifact_bytes) == (job.state, job.spec, 1, sum(map(len, after.values())))
        assert now.etag != job.etag
        assert [one.name for one in (await calls.page()).jobs] == [queued.name, job.name]
        stages = [response.event.progress.stage for response in await calls.watch(queued.name) if response.event.HasField("progress")]
        assert any("counting" in stage for stage in stages)
        # a second one stands beside the first, and what the first replaced is removed
        await calls.ended((await calls.analyse(job.name, {})).name)
        assert counted(await result(calls, job.name)) == [30, 1]
        await calls.delete(queued.name)
        assert counted(await result(calls, job.name)) == [30, 1]
        kept = list((server.config.data / "jobs" / job.name.removeprefix("jobs/")).iterdir())
        assert len(kept) == 2  # the present one, and the one before it for downloads under way


async def test_a_repeated_request_is_the_same_analysis(serving):
    async with serving() as (_, calls):
        job, other = await ended_job(calls), await ended_job(calls)
        key = str(uuid.uuid4())
        first, again = await asyncio.gather(*(calls.analyse(job.name, {}, request_id=key) for _ in range(2)))
        assert first.name == again.name
        assert (await calls.ended(first.name)).state == SUCCEEDED
        assert (await calls.analyse(job.name, {}, request_id=key)).name == first.name
        assert counted(await result(calls, job.name)) == [1]
        exists = grpc.StatusCode.ALREADY_EXISTS
        for attempt in (
            lambda: calls.analyse(job.name, {"steps": 2}, request_id=key),
            lambda: calls.analyse(other.name, {}, request_id=key),
            lambda: calls.create(first.spec, key),
        ):
            async with refused(exists):
                await attempt()


async def test_what_cannot_be_analysed_is_refused_before_anything_is_queued(serving):
    bad = grpc.StatusCode.INVALID_ARGUMENT
    async with serving() as (_, calls):
        job = await ended_job(calls)
        running = await calls.create(spec(steps=1000))
        never = await calls.create(spec())
        assert (await calls.cancel(never.name)).state == CANCELLED
        async with refused(grpc.StatusCode.NOT_FOUND):
            await calls.analyse("jobs/0123456789abcdef", {})
        async with refused(bad, "analyses"):
            await calls.analyse(job.name)
        async with refused(bad, "analyses[1].name", "did you mean count"):
            await calls.analyse(job.name, {}, {"name": "coun"})
        async with refused(bad, "request_id"):
            await calls.analyse(job.name, {}, request_id="mine")
        async with refused(NOT_YET, match="has not ended"):
            await calls.analyse(running.name, {})
        async with refused(NOT_YET, match="without results"):
            await calls.analyse(never.name, {})
        await calls.cancel(running.name)
        gone = await ended_job(calls, target="gone")
        async with refused(bad, "name", "target.options.weights: the file is gone"):
            await calls.analyse(gone.name, {})
        done = await calls.ended((await calls.analyse(running.name, {})).name)  # a cancelled job has results
        assert done.state == SUCCEEDED
        async with refused(NOT_YET, match=running.name):
            await calls.analyse(done.name, {})
        assert len([one for one in (await calls.page()).jobs if one.analysis_of]) == 1


async def test_a_killed_analysis_goes_on_and_a_failed_one_harms_nothing(serving):
    async with serving() as (_, calls):
        job = await ended_job(calls)
        before = await whole(calls, job.name)
        killed = await calls.analyse(job.name, {"steps": 9, "at": 4, "mishap": "sigkill"})
        done = await calls.ended(killed.name)
        assert (done.state, done.attempt) == (SUCCEEDED, 2)
        assert counted(await result(calls, job.name)) == [9]
        after = await whole(calls, job.name)
        failed = await calls.ended((await calls.analyse(job.name, {"steps": 9, "at": 4, "mishap": "bug"})).name)
        assert (failed.state, failed.error.code) == (FAILED, "INTERNAL")
        assert "ZeroDivisionError" in failed.error.message
        assert await whole(calls, job.name) == after != before
        assert (await calls.get(job.name)).state == SUCCEEDED
        assert await calls.artifacts(failed.name) == {}
        await calls.resume(failed.name)
        assert (await calls.ended(failed.name)).state == SUCCEEDED
        assert counted(await result(calls, job.name)) == [9, 9]


async def test_an_analysis_is_cancelled_and_suspended_like_any_job(serving):
    async with serving() as (_, calls):
        job = await ended_job(calls)
        slow = await calls.analyse(job.name, {"steps": 1000, "pace": 0.02})
        await calls.until(slow.name, lambda now: "counting" in now.progress.stage)
        await calls.suspend(slow.name)
        await calls.until(slow.name, lambda now: now.state == SUSPENDED)
        assert counted(await result(calls, job.name)) == []
        quick = await calls.ended((await calls.analyse(job.name, {"title": "quick"})).name)
        assert quick.state == SUCCEEDED
        await calls.resume(slow.name)
        await calls.until(slow.name, lambda now: now.attempt == 2 and now.state == RUNNING)
        await calls.cancel(slow.name)
        assert (await calls.ended(slow.name)).state == CANCELLED
        first, second = counted(await result(calls, job.name))
        assert first == 1
        assert 1 <= second < 1000
        waiting = await calls.analyse(job.name, {})
        await calls.ended(waiting.name)


async def test_analyses_of_one_job_run_one_after_the_other_and_none_is_lost(serving):
    async with serving(workers=3) as (_, calls):
        job, other = await ended_job(calls), await ended_job(calls)
        named = [await calls.analyse(job.name, {"steps": 5, "pace": 0.05, "title": str(n)}) for n in range(4)]
        beside = await calls.analyse(other.name, {"steps": 5})
        for one in (*named, beside):
            assert (await calls.ended(one.name)).state == SUCCEEDED
        assert [section["title"] for section in (await result(calls, job.name))["sections"]] == ["0", "1", "2", "3"]
        assert counted(await result(calls, other.name)) == [5]


async def test_a_job_may_be_deleted_while_it_is_analysed(serving):
    async with serving() as (server, calls):
        job = await ended_job(calls)
        under_way = await calls.analyse(job.name, {"steps": 40, "pace": 0.02})
        waiting = await calls.analyse(job.name, {})
        await calls.until(under_way.name, lambda now: "counting" in now.progress.stage)
        await calls.delete(job.name)
        for one in (under_way, waiting):
            failed = await calls.ended(one.name)
            assert (failed.state, failed.error.code) == (FAILED, "FAILED_PRECONDITION")
            assert f"{job.name} was deleted" in failed.error.message
            assert await calls.artifacts(one.name) == {}
        assert not (server.config.data / "jobs" / job.name.removeprefix("jobs/")).exists()


async def test_a_download_ends_with_what_it_began_with(serving):
    async with serving() as (_, calls):
        job = await ended_job(calls, kilobytes=4096)
        request = job_service_pb2.DownloadArtifactRequest(name=job.name, path="stimuli/one.png")
        stream = aiter(calls.jobs.DownloadArtifact(request))
        first = await anext(stream)
        await calls.ended((await calls.analyse(job.name, {})).name)
        data = first.data + b"".join([response.data async for response in stream])
        assert hashlib.sha256(data).hexdigest() == first.artifact.sha256
