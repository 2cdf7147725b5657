"""Plugins over the wire in real jobs of a real server: at an address, dialled in, killed and restarted, another's, of another version."""

import asyncio
import io
import json
import threading

import grpc
import numpy as np
import pytest
from calls import refused
from google.protobuf.json_format import MessageToDict, ParseDict
from plugin_processes import FIXTURES, free_port, offered, process

from actmax.client import Credentials
from actmax.client.plugin import GeneratorPlugin, PluginOffering, PluginServer, TargetPlugin
from actmax.engine.run import run_job
from actmax.engine.spec import JobSpec
from actmax.models.permissions import Permissions
from actmax.server.execution.engine import ActmaxEngine
from actmax.server.security.tokens import Tokens
from actmax.v1 import catalog_service_pb2, job_pb2, job_service_pb2, plugin_service_pb2_grpc
from actmax.v1 import plugin_service_pb2 as pb
from actmax.wire.errors import ActmaxError

SUCCEEDED, FAILED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED
SHAPE = (3, 6, 6)
END = grpc.aio.EOF  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _fixtures(monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURES))


def target(version: str = "1") -> TargetPlugin:
    import plugin_process

    return plugin_process.target(version)


def generator() -> GeneratorPlugin:
    import plugin_process

    return plugin_process.generator()


def job(options, **changes) -> job_pb2.JobSpec:
    plain = {
        "generator": {"name": "toy_lab:decoder"},
        "target": {"name": "remote", "options": options},
        "units": ["output[0]", "output[1]"],
        "optimizer": {"name": "cma"},
        "budget": {"evaluations": 120},
        "seed": 3,
    }
    return ParseDict({**plain, **changes}, job_pb2.JobSpec())


def kept(file) -> dict[str, np.ndarray]:
    with np.load(file) as found:
        return {key: value for key, value in found.items() if "seconds" not in key and key != "provenance"}


async def arrays(calls, name: str) -> dict[str, np.ndarray]:
    return kept(io.BytesIO(b"".join((await calls.download(name, "arrays.npz"))[1])))


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, np.ndarray]:
    """What the job finds in this process, undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with PluginServer({"neuron": target(), "decoder": generator()}, "127.0.0.1:0") as server:
        spec = job({"address": f"grpc://{server.address}", "plugin": "neuron", "batch": 3})
        plain = MessageToDict(spec, preserving_proto_field_name=True)
        plain["target"]["options"]["batch"] = 3
        plain["budget"], plain["seed"] = {"evaluations": 120}, 3
        run_job(JobSpec.parse(plain), folder, permissions=Permissions.of(("toy_lab",), allow_files=True))
    return kept(folder / "artifacts" / "arrays.npz")


def same(a, b) -> None:
    assert sorted(a) == sorted(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


async def test_a_job_ends_with_the_same_bits_though_its_plugin_was_killed_and_started_again(serving, expected):
    address = f"127.0.0.1:{free_port()}"
    options = {"address": f"grpc://{address}", "plugin": "neuron", "batch": 3}
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab", f"grpc://{address}")) as (server, calls):
        for where, named in ((("serve", address), options), (("offer", server.address, "neuron"), {"plugin": "neuron", "batch": 3})):
            async with process(*where):
                component = job_pb2.Component(name="remote")
                component.options.update(named)
                described = await calls.catalog.DescribeTarget(catalog_service_pb2.DescribeTargetRequest(target=component))
                assert [(layer.name, list(layer.shape)) for layer in described.layers] == [("output", [2])]
                assert (list(described.stimulus_shape), described.differentiable) == ([3, 6, 6], False)
                async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.optimizer"):
                    await calls.create(job(named, optimizer={"name": "adam"}))
                disturbed = await calls.create(job(named))
                await calls.until(disturbed.name, lambda job: job.progress.evaluations > 20, 200)
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, f"spec.target.options.{next(iter(named))}", "UNAVAILABLE"):
                await calls.create(job(named))
            assert (await calls.get(disturbed.name)).state == job_pb2.JOB_STATE_RUNNING
            async with process(*where):
                done = await calls.ended(disturbed.name, 200)
            assert done.state == SUCCEEDED, done.error
            assert done.attempt == 1
            same(await arrays(calls, disturbed.name), expected)
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.address", "--allow-import"):
            await calls.create(job({**options, "address": server.address.join(("grpc://", ""))}))


async def test_a_job_goes_on_when_its_server_went_away_and_the_plugin_dials_in_late(serving, expected):
    spec = job({"plugin": "neuron", "batch": 3})
    settings = {"engine": ActmaxEngine(), "allow_imports": ("toy_lab",)}
    async with serving(**settings, stop_seconds=1.0) as (server, calls), offered(target(), server.address, "neuron"):
        disturbed = await calls.create(spec)
        await calls.until(disturbed.name, lambda job: job.progress.evaluations > 40, 200)
        await server.stop()
    async with serving(**settings) as (server, calls):
        await calls.until(disturbed.name, lambda job: job.attempt == 2, 200)
        await asyncio.sleep(1.5)  # its worker asks for a plugin that is not there yet
        async with offered(target(), server.address, "neuron"):
            done = await calls.ended(disturbed.name, 200)
        assert done.state == SUCCEEDED, done.error
        same(await arrays(calls, disturbed.name), expected)


async def test_a_version_that_changes_ends_the_job_and_the_old_one_lets_it_go_on(serving, expected):
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",), checkpoint_seconds=0.05) as (server, calls):
        async with offered(target("1"), server.address, "neuron"):
            changed = await calls.create(job({"plugin": "neuron", "batch": 3}))
            await calls.until(changed.name, lambda job: job.progress.evaluations > 60, 200)
        async with offered(target("2"), server.address, "neuron"):
            done = await calls.ended(changed.name, 200)
            assert (done.state, done.error.code) == (FAILED, "FAILED_PRECONDITION")
            assert "plugin neuron at this server" in done.error.message
            assert "version '2', '1' was asked" in done.error.message
            await calls.resume(changed.name)
            done = await calls.until(changed.name, lambda job: job.state == FAILED and job.attempt == 2, 200)
            assert "was version '1' when the job began and is '2' now" in done.error.message
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.plugin", "version '2'"):
                await calls.create(job({"plugin": "neuron", "version": "1"}))
        async with offered(target("1"), server.address, "neuron"):
            await calls.resume(changed.name)
            done = await calls.ended(changed.name, 200)
        assert done.state == SUCCEEDED, done.error
        same(await arrays(calls, changed.name), expected)


async def test_what_a_plugin_does_wrong_fails_the_job_by_its_name_and_the_server_lives(serving):
    broken = threading.Event()

    def fails(stimuli):
        if broken.is_set():
            raise ZeroDivisionError("the rig is off")
        return stimuli.mean((1, 2, 3))

    async with (
        serving(engine=ActmaxEngine(), allow_imports=("toy_lab",)) as (server, calls),
        offered(TargetPlugin(fails, SHAPE), server.address, "neuron"),
        offered(generator(), server.address, "decoder"),
    ):
        spec = job(
            {"plugin": "neuron"},
            generator={"name": "remote", "options": {"plugin": "decoder"}},
            units=["output[0]"],
            budget={"evaluations": 1_000_000},
        )
        made = await calls.create(spec)
        await calls.until(made.name, lambda job: job.progress.evaluations > 20, 200)
        broken.set()
        done = await calls.ended(made.name, 200)
        assert done.state == FAILED
        assert done.error.code == "FAILED_PRECONDITION"
        assert done.error.message == "plugin neuron at this server: INTERNAL: ZeroDivisionError: the rig is off"
        listed = await plugin_service_pb2_grpc.PluginServiceStub(calls.channel).ListPlugins(pb.ListPluginsRequest())
        assert [(each.name, each.kind, each.version) for each in listed.plugins] == [
            ("decoder", "generator", "1"),
            ("neuron", "target", "1"),
        ]


async def test_plugins_are_their_owners_alone_but_for_those_they_are_shared_with(serving):
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",), tokens=True) as (server, calls):
        tokens = Tokens(server.store.database)
        shown = {owner: tokens.create(owner, ["submit"])[1] for owner in ("ann", "bob", "eve")}
        reader = tokens.create("ann", ["read"])[1]
        stub = plugin_service_pb2_grpc.PluginServiceStub(calls.channel)

        def as_(owner):
            return [("authorization", f"Bearer {shown[owner]}")]

        async def described(owner, plugin):
            request = catalog_service_pb2.DescribeTargetRequest(target=job({"plugin": plugin}).target)
            return await calls.catalog.DescribeTarget(request, metadata=as_(owner))

        for credentials, match in ((Credentials(reader), "scope"), (Credentials(), "token")):
            with pytest.raises(ActmaxError, match=match):
                await asyncio.to_thread(PluginOffering(target(), "n", server.address, credentials=credentials).__enter__)
        async with offered(target(), server.address, "neuron", credentials=Credentials(shown["ann"]), shared_with=["bob"]):
            assert len((await described("ann", "neuron")).layers) == 1
            assert len((await described("bob", "ann/neuron")).layers) == 1
            # a name alone is never another's, and one that is not shared is as one that is not there
            for owner, plugin in (("bob", "neuron"), ("eve", "ann/neuron")):
                async with refused(grpc.StatusCode.INVALID_ARGUMENT, "target.options.plugin", "UNAVAILABLE") as found:
                    await described(owner, plugin)
                assert ("ann/neuron" in (found[0].details() or "").partition("there are")[2]) == (owner == "bob")
            for owner, count in (("ann", 1), ("bob", 1), ("eve", 0)):
                assert len((await stub.ListPlugins(pb.ListPluginsRequest(), metadata=as_(owner))).plugins) == count
            request = job_service_pb2.CreateJobRequest(spec=job({"plugin": "ann/neuron"}, budget={"evaluations": 20}))
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.plugin"):
                await calls.jobs.CreateJob(request, metadata=as_("eve"))
            made = await calls.jobs.CreateJob(request, metadata=as_("bob"))
            async with asyncio.timeout(200):
                named = job_service_pb2.GetJobRequest(name=made.name)
                while (found := await calls.jobs.GetJob(named, metadata=as_("bob"))).state not in (SUCCEEDED, FAILED):
                    await asyncio.sleep(0.05)
            assert found.state == SUCCEEDED, found.error


async def test_the_door_of_the_workers_is_shut_to_others(serving):
    async with serving() as (server, _):
        address = server._relay.address("", patient=False).partition("@")[2]
        right, anns = (server._relay.address(owner, patient=False).removeprefix("relay://").partition("@")[0] for owner in ("", "ann"))
        async with offered(target(), server.address, "neuron"), grpc.aio.insecure_channel(address) as channel:
            stub = plugin_service_pb2_grpc.TargetServiceStub(channel)
            request = pb.DescribePluginRequest(plugin="neuron")
            for ticket in ("", "x", ".", right + "0", "." + anns.partition(".")[2], "=.="):
                async with refused(grpc.StatusCode.UNAUTHENTICATED):
                    await stub.Describe(request, metadata=[("actmax-ticket", ticket)], timeout=10)
            assert (await stub.Describe(request, metadata=[("actmax-ticket", right)], timeout=10)).version == "1"
            async with refused(grpc.StatusCode.UNAVAILABLE):
                await stub.Describe(request, metadata=[("actmax-ticket", anns)], timeout=1.0)


async def test_a_newer_plugin_takes_an_older_ones_place_and_no_turns_are_taken(serving):
    async with (
        serving() as (server, _),
        offered(target(), server.address, "neuron") as older,
        offered(target("2"), server.address, "neuron") as newer,
    ):
        with pytest.raises(ActmaxError, match="a newer process") as caught:
            await asyncio.to_thread(older.wait)
        assert caught.value.reason == "PLUGIN_REPLACED"
        async with offered(generator(), server.address, "neuron"):  # another kind has names of its own
            await asyncio.sleep(0.2)
            assert newer._error is None


async def test_streams_that_speak_nonsense_are_refused_and_late_answers_dropped(serving):
    async with serving() as (_, calls):
        stub = plugin_service_pb2_grpc.PluginServiceStub(calls.channel)
        good = pb.PluginOffer(name="x", target=target().description)
        named, layered = pb.PluginOffer(), pb.PluginOffer()
        named.CopyFrom(good)
        named.name = "a b"
        layered.CopyFrom(good)
        layered.target.layers[0].name = "a[3]"
        answer = pb.PluginAnswer(call=1, fault=pb.PluginFault(code=5))
        for requests in (
            [pb.OfferRequest()],
            [pb.OfferRequest(answer=answer)],
            [pb.OfferRequest(offer=named)],
            [pb.OfferRequest(offer=pb.PluginOffer(name="x"))],
            [pb.OfferRequest(offer=layered)],
            [pb.OfferRequest(offer=good), pb.OfferRequest(offer=good)],
            [pb.OfferRequest(offer=good), pb.OfferRequest(answer=pb.PluginAnswer(call=1, fault=pb.PluginFault(code=99)))],
        ):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT), asyncio.timeout(200):
                call = stub.Offer()
                for request in requests:
                    await call.write(request)
                while await call.read() is not END:
                    pass
                await call  # raises the stream's status
        call = stub.Offer()
        for request in (pb.OfferRequest(offer=good), pb.OfferRequest(answer=answer)):
            await call.write(request)
        assert (await call.read()).offered.name == "x"
        await call.done_writing()
        assert await call.read() is END
        assert not (await stub.ListPlugins(pb.ListPluginsRequest())).plugins


@pytest.mark.parametrize("way", ["dialled in", "at an address"])
async def test_an_analysis_of_another_process_brings_its_sections_into_all_results(serving, way):
    port = free_port()
    allowed = ("toy_lab", f"grpc://127.0.0.1:{port}")
    async with serving(engine=ActmaxEngine(), allow_imports=allowed) as (server, calls):
        how = ("analyse", server.address, "fade") if way == "dialled in" else ("serve", f"127.0.0.1:{port}")
        where = {} if way == "dialled in" else {"address": allowed[1]}
        analysis = {"name": "remote", "options": {"plugin": "fade", "options": {"levels": 4}, **where}}
        async with process(*how):
            plain = {"target": {"name": "toy_lab:network"}, "units": ["4[0]", "4[2]"], "budget": {"evaluations": 20}}
            made = await calls.ended((await calls.create(job({}, **plain, analyses=[analysis]))).name)
            assert made.state == SUCCEEDED, made.error
            assert not made.progress.warnings
            later = await calls.ended((await calls.analyse(made.name, analysis)).name)
            assert later.state == SUCCEEDED, later.error

        async def read(path):
            return b"".join((await calls.download(made.name, path))[1])

        first, second = json.loads(await read("result.json"))["sections"]
        assert first["title"] == "Fading"
        assert first["rows"] == second["rows"] != []
        assert b"Fading" in await read("report.html")
        assert {figure["file"] for figure in first["figures"]} <= set(await calls.artifacts(made.name))
        found = await arrays(calls, made.name)
        assert found["remote/curves"].shape == (2, 4)
        assert np.array_equal(found["remote/curves"], found["remote 2/curves"])
        # gone, it is missed by name before anything is queued
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, f"analyses[0].options.{'address' if where else 'plugin'}"):
            await calls.analyse(made.name, analysis)
