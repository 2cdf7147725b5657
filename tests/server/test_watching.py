import asyncio

import grpc
from calls import refused, spec

from actmax.v1 import job_pb2, job_service_pb2


def kinds(responses) -> list[str]:
    return [response.WhichOneof("content") for response in responses]


def state_changes(responses) -> list[int]:
    return [r.event.state_change.state for r in responses if r.event.WhichOneof("content") == "state_change"]


ALL = [job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_SUCCEEDED]


async def test_a_watch_has_a_snapshot_then_every_state_then_ends(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=30))
        async with asyncio.timeout(200):
            seen = await calls.watch(made.name)
        assert kinds(seen)[0] == "snapshot"
        assert kinds(seen).count("snapshot") == 1
        assert state_changes(seen) == ALL
        assert seen[-1].event.state_change.state == job_pb2.JOB_STATE_SUCCEEDED
        sequences = [response.event.sequence for response in seen if response.HasField("event")]
        assert sequences == sorted(set(sequences))
        steps = [r.event.progress.evaluations for r in seen if r.event.WhichOneof("content") == "progress"]
        assert steps == sorted(steps)
        assert steps[-1] == 30
        # Afterwards it has all states and the last progress, and ends at once.
        again = await calls.watch(made.name)
        assert again[0].snapshot.state == job_pb2.JOB_STATE_SUCCEEDED
        assert state_changes(again) == ALL


async def test_a_watch_resumes_after_any_response(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=30))
        seen = await calls.watch(made.name)
        for at, response in enumerate(seen):
            rest = await calls.watch(made.name, response.resume_token)
            assert kinds(rest)[0] == "snapshot"
            assert state_changes(rest) == state_changes(seen[at + 1 :])
        # From a lost stream on, nothing is missed and nothing comes twice.
        token, collected = "", []
        made = await calls.create(spec(steps=40))
        async with asyncio.timeout(200):
            while job_pb2.JOB_STATE_SUCCEEDED not in state_changes(collected):
                stream = calls.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=made.name, resume_token=token))
                count = 0
                async for response in stream:
                    collected.append(response)
                    token = response.resume_token
                    count += 1
                    if count == 2:
                        stream.cancel()
                        break
        assert state_changes(collected) == ALL


async def test_a_quiet_watch_is_kept_alive(serving):
    async with serving(keep_alive_seconds=0.1) as (_, calls):
        made = await calls.create(spec(steps=1, pace=1.5))
        seen = await calls.watch(made.name)
        assert kinds(seen).count("keep_alive") >= 3
        assert all(response.resume_token for response in seen)


async def test_a_slow_watcher_slows_nothing(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=150))
        # Read no more than the first response of each, while the job goes on.
        streams = [calls.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=made.name)) for _ in range(20)]
        for stream in streams:
            await stream.read()
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        rest = []
        while isinstance(response := await streams[0].read(), job_service_pb2.WatchJobResponse):
            rest.append(response)
        assert state_changes(rest) == ALL
        for stream in streams:
            stream.cancel()


async def test_what_is_no_resume_token_is_refused(serving):
    async with serving() as (_, calls):
        made, other = await calls.create(spec(steps=1)), await calls.create(spec(steps=1))
        await calls.ended(other.name)
        foreign = (await calls.watch(other.name))[-1].resume_token
        for token in ("nonsense", "é", foreign, foreign + "A"):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "resume_token"):
                await calls.watch(made.name, token)


async def test_watchers_are_told_when_the_server_stops(serving):
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=5000))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        watching = asyncio.create_task(calls.watch(made.name))
        await asyncio.sleep(0.2)
        stop = asyncio.create_task(server.stop())
        async with refused(grpc.StatusCode.UNAVAILABLE, match="stopping"), asyncio.timeout(200):
            await watching
        await stop
