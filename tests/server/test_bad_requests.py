import asyncio

import grpc
import pytest
import sqlalchemy.event
from calls import details, refused, spec

from actmax.v1 import catalog_service_pb2, job_pb2, job_service_pb2

BAD = grpc.StatusCode.INVALID_ARGUMENT


async def test_bad_specs_are_refused_by_field_and_leave_nothing(serving):
    def changed(change):
        made = spec()
        change(made)
        return made

    def over(made, **options):
        made.optimizer.options.update(options)

    cases = {
        "spec.target": lambda s: s.ClearField("target"),
        "spec.target.name": lambda s: setattr(s.target, "name", "unknown"),
        "spec.units": lambda s: s.ClearField("units"),
        "spec.budget": lambda s: setattr(s.budget, "evaluations", 0),
        "spec.budget.evaluations": lambda s: setattr(s.budget, "evaluations", -5),
        "spec.budget.seconds": lambda s: setattr(s.budget, "seconds", float("nan")),
        "spec.seed": lambda s: setattr(s, "seed", -1),
        "spec.device": lambda s: setattr(s, "device", "tpu"),
        "spec.prior": lambda s: setattr(s, "prior", "some"),
        "spec.constraints.max_latent_std": lambda s: setattr(s.constraints, "max_latent_std", 0.0),
        "spec.design.replicates": lambda s: setattr(s.design, "replicates", -1),
        "spec.design.remeasure": lambda s: setattr(s.design, "remeasure", 1.0),
        "spec": lambda s: over(s, rank=float("inf")),
    }
    async with serving(max_evaluations=1000, max_searches=3) as (_, calls):
        for field, change in cases.items():
            async with refused(BAD, field):
                await calls.create(changed(change))
        async with refused(BAD, "spec.prior", match="must be one of natural, none"):
            await calls.create(changed(cases["spec.prior"]))
        async with refused(BAD, "spec"):
            await calls.jobs.CreateJob(job_service_pb2.CreateJobRequest())
        async with refused(BAD, "spec.budget.evaluations", match="1002"):
            await calls.create(spec(steps=334, units=("a", "b", "c")))
        async with refused(BAD, "spec.units", match="4 searches"):
            await calls.create(spec(steps=1, units=("a", "b", "c", "d")))
        assert not (await calls.page()).jobs


async def test_bad_request_ids_are_refused(serving):
    async with serving() as (_, calls):
        for text in ("1", "not-a-uuid", "{123e4567-e89b-42d3-a456-426614174000}", "0" * 8 + "-0000-0000-0000-" + "0" * 12):
            async with refused(BAD, "request_id"):
                await calls.create(spec(), text)


async def test_names_and_pages(serving):
    async with serving() as (_, calls):
        made = await calls.create(spec(steps=1))
        await calls.ended(made.name)
        for call in (calls.get, calls.cancel, calls.watch, calls.artifacts, lambda name: calls.download(name, "result.json")):
            for name in ("", "jobs/", "runs/1", "jobs/a/b", "jobs/../x"):
                async with refused(BAD, "name"):
                    await call(name)
            async with refused(grpc.StatusCode.NOT_FOUND, match="there is no job jobs/nobody"):
                await call("jobs/nobody")
        async with refused(BAD, "name", match=f"did you mean {made.name}"):
            await calls.get(made.name.removeprefix("jobs/"))
        async with refused(grpc.StatusCode.NOT_FOUND, match=f"did you mean {made.name}"):
            await calls.get(made.name[:-3])
        async with refused(BAD, "page_size"):
            await calls.page(-1)
        async with refused(BAD, "page_token"):
            await calls.page(1, "nonsense")
        for state in (0, 99, -1):
            async with refused(BAD, "states[1]"):
                await calls.page(states=(1, state))


async def test_paths_stay_in_the_job(serving, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("s")
    async with serving() as (server, calls):
        made = await calls.create(spec(steps=1))
        await calls.ended(made.name)
        for path in ("", "/etc/passwd", "..", "../x", "stimuli/../result.json", "./result.json", "a//b", "a\\b", "a\0b", "stimuli/"):
            async with refused(BAD, "path"):
                await calls.download(made.name, path)
        for path in ("nothing.png", "stimuli", "escape.txt", "checkpoint.json"):
            async with refused(grpc.StatusCode.NOT_FOUND, match="no artifact"):
                await calls.download(made.name, path)
        async with refused(BAD, "offset"):
            await calls.download(made.name, "result.json", -1)
        async with refused(grpc.StatusCode.OUT_OF_RANGE, match="bytes"):
            await calls.download(made.name, "result.json", 10**9)
        # A link that takes a published file's place leads nowhere.
        file = tmp_path / "data" / made.name / "artifacts-1" / "result.json"
        file.unlink()
        file.symlink_to(tmp_path / "data" / "secret")
        async with refused(grpc.StatusCode.DATA_LOSS, match="gone"):
            await calls.download(made.name, "result.json")
        assert server.executor.processes() == {}


async def test_the_catalog_refuses_by_field(serving):
    async with serving() as (_, calls):
        async with refused(BAD, "kind"):
            await calls.catalog.ListComponents(catalog_service_pb2.ListComponentsRequest(kind=77))  # type: ignore[arg-type]
        async with refused(BAD, "target"):
            await calls.catalog.DescribeTarget(catalog_service_pb2.DescribeTargetRequest())
        async with refused(BAD, "target.name"):
            request = catalog_service_pb2.DescribeTargetRequest(target=job_pb2.Component(name="nothing"))
            await calls.catalog.DescribeTarget(request)


@pytest.mark.parametrize("limit", [16 * 1024 * 1024, 8192])
async def test_an_oversized_message_is_refused(serving, limit):
    async with serving(max_receive_bytes=limit) as (_, calls):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calls.create(spec(title="x" * (limit + 1)))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(limit) in (caught.value.details() or "")
        assert (await calls.create(spec(steps=1))).name


async def test_a_request_that_cannot_be_read_is_the_callers_fault(serving):
    async with serving() as (_, calls):
        async with refused(BAD, match="can't be read"):
            await calls.channel.unary_unary("/actmax.v1.JobService/CreateJob")(b"\xff\xff\xff")
        async with refused(BAD, match="can't be read"):
            await calls.channel.unary_stream("/actmax.v1.JobService/WatchJob")(b"\xff\xff\xff").read()
        assert (await calls.create(spec(steps=1))).name


async def test_options_too_deep_to_be_listed_again_are_refused(serving):
    def nested(levels: int) -> job_pb2.JobSpec:
        options: dict = {}
        for _ in range(levels):
            options = {"deeper": options}
        made = spec(steps=1)
        made.generator.options.update(options)
        return made

    async with serving() as (_, calls):
        made = await calls.create(nested(17))
        for levels in (19, 25, 30):
            async with refused(BAD, "spec", match="levels"):
                await calls.create(nested(levels))
        assert [job.name for job in (await calls.page()).jobs] == [made.name]
        assert (await calls.watch(made.name))[0].snapshot.spec == nested(17)


async def test_many_and_long_faults_still_arrive(serving):
    async with serving() as (_, calls):
        async with refused(BAD, "spec.units"):
            await calls.create(spec(target="many-faults"))
        made = spec()
        for n in range(300):
            made.baselines.add(name="x").options.update({"é" * 50: n})
        async with refused(BAD, "spec.baselines", match="20"):
            await calls.create(made)
        made = spec(units=("",))
        del made.baselines[:]
        for _ in range(20):
            made.baselines.add()
        async with refused(BAD, "spec.baselines[0].name") as found:
            await calls.create(made)
        assert len(details(found[0])[1]) > 5


async def test_a_check_that_dies_or_hangs_takes_nothing_with_it(serving):
    async with serving(check_seconds=2.0) as (server, calls):
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="SIGSEGV"):
            await calls.create(spec(target="deadly"))
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="memory"):
            await calls.create(spec(target="hungry"))
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="no such luck"):
            await calls.create(spec(target="broken"))
        slow = asyncio.create_task(calls.create(spec(target="slow")))
        await asyncio.sleep(0.2)
        await calls.page()
        assert not slow.done()  # others are answered meanwhile
        async with refused(grpc.StatusCode.DEADLINE_EXCEEDED, match="2 s"):
            await slow
        made = await calls.create(spec(steps=1))
        assert (await calls.ended(made.name)).state == job_pb2.JOB_STATE_SUCCEEDED
        assert [job.name for job in (await calls.page()).jobs] == [made.name]
        assert server.inspector.pid


async def test_a_full_disk_refuses_a_job_and_the_server_stays(serving):
    async with serving() as (server, calls):
        first = await calls.create(spec(steps=1))
        await calls.ended(first.name)
        pages = 0

        @sqlalchemy.event.listens_for(server.store.engine, "begin")
        def limit(connection):
            # SQLite's own limit of the database's size: the error is the one of a full disk.
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages or 2**30}")

        with server.store.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        key = "123e4567-e89b-42d3-a456-426614174000"
        big = spec(steps=1, units=tuple(f"{'layer' * 20}[{n}]" for n in range(5000)))
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="nothing was changed"):
            await calls.create(big, key)
        assert [job.name for job in (await calls.page()).jobs] == [first.name]
        pages = 0
        assert (await calls.create(big, key)).state == job_pb2.JOB_STATE_PENDING
