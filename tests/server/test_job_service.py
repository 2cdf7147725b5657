import asyncio
import hashlib
import json
import uuid

import grpc
import pytest
from calls import details, refused, spec
from google.protobuf import struct_pb2

from actmax.v1 import catalog_service_pb2, job_pb2


async def test_a_job_runs_to_its_end_and_hands_out_its_files(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=5, title="first", kilobytes=400))
        assert made.state == job_pb2.JOB_STATE_PENDING
        assert (made.spec.title, made.progress.total_evaluations, made.attempt) == ("first", 5, 0)
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert (done.attempt, done.progress.evaluations) == (1, 5)
        assert done.create_time.ToNanoseconds() <= done.start_time.ToNanoseconds() < done.end_time.ToNanoseconds()
        assert not done.HasField("error")

        artifacts = await calls.artifacts(made.name)
        assert sorted(artifacts) == ["empty.txt", "result.json", "stimuli/one.png"]
        assert artifacts["stimuli/one.png"].media_type == "image/png"
        for path, artifact in artifacts.items():
            described, chunks = await calls.download(made.name, path)
            data = b"".join(chunks)
            assert described == artifact
            assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.size_bytes, artifact.sha256)
            assert all(len(chunk) <= 1024 * 1024 for chunk in chunks)
            if path == "stimuli/one.png":
                assert len(chunks) > 1
                for offset in (1, 300_000, len(data)):
                    assert b"".join((await calls.download(made.name, path, offset))[1]) == data[offset:]
            if path == "result.json":
                assert json.loads(data) == {"done": [0, 1, 2, 3, 4], "attempts": 1}


async def test_a_finished_job_leaves_no_work_behind(serving, tmp_path):
    async with serving() as (_, calls):
        made = await calls.create(spec())
        await calls.ended(made.name)
        folder = tmp_path / "data" / made.name
        async with asyncio.timeout(200):
            while [path.name for path in folder.iterdir()] != ["artifacts-1"]:
                await asyncio.sleep(0.02)


async def test_a_repeated_request_creates_one_job(serving):
    async with serving() as (_, calls):
        key = str(uuid.uuid4())
        same = await asyncio.gather(*(calls.create(spec(steps=2), key) for _ in range(8)))
        assert len({job.name for job in same}) == 1
        assert (await calls.create(spec(steps=2), key.upper())).name == same[0].name
        async with refused(grpc.StatusCode.ALREADY_EXISTS, match=same[0].name) as found:
            await calls.create(spec(steps=3), key)
        assert details(found[0])[0].metadata["job"] == same[0].name
        assert len((await calls.page()).jobs) == 1
        await calls.ended(same[0].name)
        assert (await calls.create(spec(steps=2), key)).state == job_pb2.JOB_STATE_SUCCEEDED
        first, second = await calls.create(spec(steps=2), ""), await calls.create(spec(steps=2), "")
        assert first.name != second.name


async def test_jobs_are_listed_by_pages(serving):
    async with serving() as (_, calls):
        made = [(await calls.create(spec(steps=1 if n else 2000, title=str(n)))).name for n in range(7)]
        found, token = [], ""
        while True:
            page = await calls.page(3, token)
            assert len(page.jobs) <= 3
            found += [job.name for job in page.jobs]
            token = page.next_page_token
            if not token:
                break
            await calls.create(spec(steps=1))
        assert found == made[::-1]
        await calls.until(made[0], lambda job: job.state == job_pb2.JOB_STATE_RUNNING)
        running = await calls.page(states=(job_pb2.JOB_STATE_RUNNING,))
        assert [job.name for job in running.jobs] == made[:1]
        pending = await calls.page(2, states=(job_pb2.JOB_STATE_PENDING, job_pb2.JOB_STATE_FAILED))
        assert len(pending.jobs) == 2
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "page_token"):
            await calls.page(2, pending.next_page_token)
        assert (await calls.page(5000)).next_page_token == ""
        await calls.cancel(made[0])


async def test_a_page_stays_below_what_a_client_accepts(serving):
    async with serving() as (_, calls):
        units = tuple(f"{'layer' * 30}[{n}]" for n in range(8000))
        made = [(await calls.create(spec(steps=1, units=units))).name for _ in range(4)]
        found, token = [], ""
        while True:
            page = await calls.page(100, token)
            assert page.ByteSize() < 4 * 1024 * 1024
            found += [job.name for job in page.jobs]
            if not (token := page.next_page_token):
                break
        assert found == made[::-1]


async def test_cancelling(serving):
    async with serving() as (_, calls):
        running, waiting = await calls.create(spec(steps=5000)), await calls.create(spec())
        assert (await calls.cancel(waiting.name)).state == job_pb2.JOB_STATE_CANCELLED
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="CANCELLED"):
            await calls.cancel(waiting.name)
        await calls.until(running.name, lambda job: job.progress.evaluations > 3)
        async with refused(grpc.StatusCode.NOT_FOUND, match="RUNNING"):
            await calls.download(running.name, "result.json")
        assert (await calls.cancel(running.name)).state == job_pb2.JOB_STATE_CANCELLING
        done = await calls.ended(running.name)
        assert done.state == job_pb2.JOB_STATE_CANCELLED
        result = json.loads(b"".join((await calls.download(running.name, "result.json"))[1]))
        assert 3 < len(result["done"]) < 5000
        with pytest.raises(grpc.aio.AioRpcError, match="ended already"):
            await calls.cancel(running.name)


async def test_a_worker_deaf_to_cancellation_is_killed(serving):
    async with serving(cancel_seconds=1.0) as (_, calls):
        made = await calls.create(spec(steps=10_000, mishap="deaf"))
        await calls.until(made.name, lambda job: job.progress.evaluations > 0)
        await calls.cancel(made.name)
        done = await calls.ended(made.name)
        assert done.state == job_pb2.JOB_STATE_CANCELLED
        assert "killed" in [w.event.state_change.message for w in await calls.watch(made.name)][-1]
        # The worker's place is free again.
        assert (await calls.ended((await calls.create(spec())).name)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_jobs_run_side_by_side_as_workers_allow(serving):
    async with serving(workers=2) as (server, calls):
        made = [(await calls.create(spec(steps=5000))).name for _ in range(3)]
        for name in made[:2]:
            await calls.until(name, lambda job: job.progress.evaluations > 0)
        assert len(server.executor.processes()) == 2
        assert (await calls.get(made[2])).state == job_pb2.JOB_STATE_PENDING
        await calls.cancel(made[0])
        await calls.until(made[2], lambda job: job.state == job_pb2.JOB_STATE_RUNNING)


async def test_the_catalog(serving):
    quotas = {"max_queued_per_owner": 5, "max_running_per_owner": 6, "max_stored_bytes_per_owner": 7, "max_open_sessions_per_owner": 8}
    async with serving(workers=3, max_evaluations=77, **quotas) as (_, calls):
        limits = await calls.catalog.GetLimits(catalog_service_pb2.GetLimitsRequest())
        assert (limits.max_receive_bytes, limits.workers, limits.max_evaluations) == (16 * 1024 * 1024, 3, 77)
        assert {name: getattr(limits, name) for name in quotas} == quotas
        assert limits.version
        entry = (await calls.catalog.ListComponents(catalog_service_pb2.ListComponentsRequest())).components[0]
        assert (entry.name, entry.kind) == ("known", catalog_service_pb2.COMPONENT_KIND_TARGET)
        assert entry.options_schema["properties"]["width"]["default"] == "inf"
        kind = catalog_service_pb2.COMPONENT_KIND_OPTIMIZER
        assert not (await calls.catalog.ListComponents(catalog_service_pb2.ListComponentsRequest(kind=kind))).components
        request = catalog_service_pb2.DescribeTargetRequest(target=job_pb2.Component(name="known"))
        target = await calls.catalog.DescribeTarget(request)
        assert (list(target.stimulus_shape), target.modality, target.differentiable) == ([3, 4, 4], "image", True)
        assert [(layer.name, list(layer.shape), layer.kind) for layer in target.layers] == [("out", [10], "spikes")]


async def test_options_arrive_as_they_were_sent(serving):
    async with serving() as (_, calls):
        sent = spec(steps=1)
        sent.generator.options.update({"flag": True, "text": "é", "list": [1, 2.5, None], "deep": {"a": {}}})
        sent.seed = 2**62 + 1
        made = await calls.create(sent)
        assert made.spec == sent
        assert isinstance(made.spec.generator.options, struct_pb2.Struct)
        assert (await calls.ended(made.name)).state == job_pb2.JOB_STATE_SUCCEEDED
