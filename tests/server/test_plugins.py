"""Plugins over the wire in real jobs of a real server: at an address and dialled in, killed and restarted, of others, of another version."""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from calls import refused
from google.protobuf.json_format import ParseDict

from actmax.client import Credentials
from actmax.client.errors import ActmaxError
from actmax.client.plugin import PluginOffering, PluginServer, TargetPlugin
from actmax.server.execution.engine import ActmaxEngine
from actmax.server.security.tokens import Tokens
from actmax.v1 import catalog_service_pb2, job_pb2, plugin_service_pb2_grpc
from actmax.v1 import plugin_service_pb2 as pb

pytestmark = pytest.mark.timeout(100)
FIXTURES = Path(__file__).parents[1] / "fixtures"
sys.path.insert(0, str(FIXTURES))
from plugin_process import SHAPE, generator, neuron, target

SUCCEEDED, FAILED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED


@pytest.fixture(autouse=True)
def _toy_lab(monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURES))


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


async def arrays(calls, name: str) -> dict[str, np.ndarray]:
    data = b"".join((await calls.download(name, "arrays.npz"))[1])
    with np.load(io.BytesIO(data)) as file:
        return {key: value for key, value in file.items() if "seconds" not in key}


def same(a, b) -> None:
    assert sorted(a) == sorted(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


@asynccontextmanager
async def process(*arguments):
    """``plugin_process.py``, ready; killed at the end."""
    command = [sys.executable, str(FIXTURES / "plugin_process.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) as running:
        assert running.stdout is not None
        assert await asyncio.to_thread(running.stdout.readline)
        try:
            yield running
        finally:
            running.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_jobs_at_an_address_are_the_same_after_the_plugin_was_killed(serving):
    address = f"127.0.0.1:{free_port()}"
    options = {"address": f"grpc://{address}", "plugin": "neuron", "batch": 3}
    spec = job(options, generator={"name": "remote", "options": {"address": f"grpc://{address}", "plugin": "decoder"}})
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab", f"grpc://{address}")) as (_, calls):
        async with process("serve", address):
            described = await calls.catalog.DescribeTarget(catalog_service_pb2.DescribeTargetRequest(target=spec.target))
            assert [(layer.name, list(layer.shape)) for layer in described.layers] == [("output", [2])]
            assert (list(described.stimulus_shape), described.differentiable) == ([3, 6, 6], False)
            quiet = await calls.create(spec)
            assert (await calls.ended(quiet.name)).state == SUCCEEDED
            disturbed = await calls.create(spec)
            await calls.until(disturbed.name, lambda job: job.progress.evaluations > 20)
        async with process("serve", address):
            done = await calls.ended(disturbed.name)
            assert done.state == SUCCEEDED, done.error
            assert done.attempt == 1
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.optimizer"):
                await calls.create(job(options, optimizer={"name": "adam"}))
        same(await arrays(calls, quiet.name), await arrays(calls, disturbed.name))
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.address", "UNAVAILABLE"):
            await calls.create(job(options))


async def test_jobs_over_a_plugin_that_dialled_in_are_those_at_an_address_though_it_was_killed(serving):
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",)) as (server, calls):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.plugin", "there are: none"):
            await calls.create(job({"plugin": "neuron"}))
        spec = job({"plugin": "neuron", "batch": 3})
        async with process("offer", server.address, "neuron"):
            listed = await plugin_service_pb2_grpc.PluginServiceStub(calls.channel).ListPlugins(pb.ListPluginsRequest())
            assert [(plugin.name, plugin.kind, plugin.version) for plugin in listed.plugins] == [("neuron", "target", "1")]
            disturbed = await calls.create(spec)
            await calls.until(disturbed.name, lambda job: job.progress.evaluations > 20)
        async with process("offer", server.address, "neuron"):
            done = await calls.ended(disturbed.name)
            assert done.state == SUCCEEDED, done.error
            assert done.attempt == 1
    here = PluginServer(target(), "127.0.0.1:0")
    with here:
        async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab", f"grpc://{here.address}")) as (_, calls):
            direct = await calls.create(job({"address": f"grpc://{here.address}", "batch": 3}))
            assert (await calls.ended(direct.name)).state == SUCCEEDED
            same(await arrays(calls, direct.name), await arrays(calls, disturbed.name))


async def test_a_job_goes_on_when_worker_and_server_went_away_and_the_plugin_dials_in_again(serving):
    spec = job({"plugin": "neuron", "batch": 3})
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",), checkpoint_seconds=0.2) as (server, calls):
        with await asyncio.to_thread(PluginOffering(target(), "neuron", server.address).__enter__):
            quiet = await calls.create(spec)
            assert (await calls.ended(quiet.name)).state == SUCCEEDED
            disturbed = await calls.create(spec)
            await calls.until(disturbed.name, lambda job: job.progress.evaluations > 40)
            os.kill(next(iter(server.executor.processes().values())), signal.SIGKILL)
            await calls.until(disturbed.name, lambda job: job.attempt == 2 and job.progress.evaluations > 60)
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",)) as (server, calls):
        await asyncio.sleep(1.0)  # the job's worker asks before the plugin is back
        with await asyncio.to_thread(PluginOffering(target(), "neuron", server.address).__enter__):
            done = await calls.ended(disturbed.name)
            assert done.state == SUCCEEDED, done.error
        same(await arrays(calls, quiet.name), await arrays(calls, disturbed.name))


async def test_a_version_that_changes_ends_the_job_and_the_old_one_lets_it_go_on(serving):
    spec = job({"plugin": "neuron", "batch": 3})
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",), checkpoint_seconds=0.1) as (server, calls):
        with await asyncio.to_thread(PluginOffering(target("1"), "neuron", server.address).__enter__):
            quiet = await calls.create(spec)
            assert (await calls.ended(quiet.name)).state == SUCCEEDED
            changed = await calls.create(spec)
            await calls.until(changed.name, lambda job: job.progress.evaluations > 60)
        with await asyncio.to_thread(PluginOffering(target("2"), "neuron", server.address).__enter__):
            done = await calls.ended(changed.name)
            assert (done.state, done.error.code) == (FAILED, "FAILED_PRECONDITION")
            assert "plugin neuron at this server" in done.error.message
            assert "version" in done.error.message
            await calls.resume(changed.name)
            done = await calls.ended(changed.name)
            assert done.state == FAILED
            assert "bring the old one back" in done.error.message
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.target.options.plugin", "version '2'"):
                await calls.create(job({"plugin": "neuron", "version": "1"}))
        with await asyncio.to_thread(PluginOffering(target("1"), "neuron", server.address).__enter__):
            await calls.resume(changed.name)
            done = await calls.ended(changed.name)
            assert done.state == SUCCEEDED, done.error
        same(await arrays(calls, quiet.name), await arrays(calls, changed.name))


async def test_plugins_are_their_owners_alone_but_for_those_they_are_shared_with(serving):
    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",), tokens=True) as (server, calls):
        tokens = Tokens(server.store.database)
        told = {owner: tokens.create(owner, ["submit"])[1] for owner in ("ann", "bob", "eve")}
        reader = tokens.create("ann", ["read"])[1]
        stub = plugin_service_pb2_grpc.PluginServiceStub(calls.channel)

        def as_(owner):
            return [("authorization", f"Bearer {told[owner]}")]

        async def described(owner, plugin):
            component = job({"plugin": plugin}).target
            request = catalog_service_pb2.DescribeTargetRequest(target=component)
            return await calls.catalog.DescribeTarget(request, metadata=as_(owner))

        def offering(owner, **more):
            return PluginOffering(target(), "neuron", server.address, credentials=Credentials(told[owner]), **more)

        with pytest.raises(ActmaxError, match="scope"):
            await asyncio.to_thread(PluginOffering(target(), "n", server.address, credentials=Credentials(reader)).__enter__)
        with pytest.raises(ActmaxError, match="token"):
            await asyncio.to_thread(PluginOffering(target(), "n", server.address, credentials=Credentials()).__enter__)
        with await asyncio.to_thread(offering("ann", shared_with=["bob"]).__enter__):
            assert len((await described("ann", "neuron")).layers) == 1
            assert len((await described("bob", "ann/neuron")).layers) == 1
            # a name alone is never another's, and one that is not shared is as one that is not there
            for owner, plugin in (("bob", "neuron"), ("eve", "ann/neuron"), ("eve", "neuron")):
                async with refused(grpc.StatusCode.INVALID_ARGUMENT, "target.options.plugin", "UNAVAILABLE") as found:
                    await described(owner, plugin)
                assert ("ann/neuron" in (found[0].details() or "").partition("there are")[2]) == (owner == "bob")
            for owner, count in (("ann", 1), ("bob", 1), ("eve", 0)):
                assert len((await stub.ListPlugins(pb.ListPluginsRequest(), metadata=as_(owner))).plugins) == count
            spec = job({"plugin": "ann/neuron"}, budget={"evaluations": 20})
            made = await calls.jobs.CreateJob(_request(spec), metadata=as_("bob"))
            with pytest.raises(grpc.aio.AioRpcError):
                await calls.jobs.CreateJob(_request(spec), metadata=as_("eve"))
            async with asyncio.timeout(60):
                while (found := await calls.jobs.GetJob(_named(made.name), metadata=as_("bob"))).state not in (SUCCEEDED, FAILED):
                    await asyncio.sleep(0.05)
            assert found.state == SUCCEEDED, found.error


def _request(spec):
    from actmax.v1 import job_service_pb2

    return job_service_pb2.CreateJobRequest(spec=spec)


def _named(name):
    from actmax.v1 import job_service_pb2

    return job_service_pb2.GetJobRequest(name=name)


async def test_the_door_of_the_workers_is_shut_to_others(serving):
    async with serving(engine=ActmaxEngine()) as (server, _):
        door = server._door
        address = door.allowed("", patient=False)[0].partition("@")[2]
        with await asyncio.to_thread(PluginOffering(target(), "neuron", server.address).__enter__):
            async with grpc.aio.insecure_channel(address) as channel:
                stub = plugin_service_pb2_grpc.TargetServiceStub(channel)
                request = pb.DescribePluginRequest(plugin="neuron")
                ticket = door.allowed("ann", patient=False)[0].removeprefix("relay://").partition("@")[0]
                right = door.allowed("", patient=False)[0].removeprefix("relay://").partition("@")[0]
                for shown in ("", "x", ".", right + "0", "." + ticket.partition(".")[2], "é"):
                    metadata = [("actmax-ticket", shown)] if shown.isascii() else []
                    async with refused(grpc.StatusCode.UNAUTHENTICATED):
                        await stub.Describe(request, metadata=metadata, timeout=10)
                assert (await stub.Describe(request, metadata=[("actmax-ticket", right)], timeout=10)).version == "1"
                async with refused(grpc.StatusCode.UNAVAILABLE):
                    await stub.Describe(request, metadata=[("actmax-ticket", ticket)], timeout=0.5)


async def test_a_newer_plugin_takes_an_older_ones_place_and_no_turns_are_taken(serving):
    async with serving(engine=ActmaxEngine()) as (server, _):
        older = await asyncio.to_thread(PluginOffering(target(), "neuron", server.address).__enter__)
        newer = await asyncio.to_thread(PluginOffering(target("2"), "neuron", server.address).__enter__)
        with newer:
            with pytest.raises(ActmaxError, match="a newer process") as caught:
                await asyncio.to_thread(older.wait)
            assert caught.value.reason == "PLUGIN_REPLACED"
            older.close()
            # another kind has names of its own
            with await asyncio.to_thread(PluginOffering(generator(), "neuron", server.address).__enter__):
                assert newer._error is None


async def test_streams_that_speak_nonsense_are_refused_by_field(serving):
    async with serving() as (_, calls):
        stub = plugin_service_pb2_grpc.PluginServiceStub(calls.channel)
        good = pb.PluginOffer(name="x", target=target().description)
        bad = pb.PluginOffer()
        bad.CopyFrom(good)
        bad.name = "a b"
        nameless = pb.PluginOffer(name="x")
        layered = pb.PluginOffer()
        layered.CopyFrom(good)
        layered.target.layers[0].name = "a[3]"
        answer = pb.PluginAnswer(call=1, fault=pb.PluginFault(code=5))
        for requests in (
            [pb.OfferRequest()],
            [pb.OfferRequest(answer=answer)],
            [pb.OfferRequest(offer=bad)],
            [pb.OfferRequest(offer=nameless)],
            [pb.OfferRequest(offer=layered)],
            [pb.OfferRequest(offer=good), pb.OfferRequest(offer=good)],
            [pb.OfferRequest(offer=good), pb.OfferRequest(answer=pb.PluginAnswer(call=1, fault=pb.PluginFault(code=99)))],
        ):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT):
                call = stub.Offer()
                for request in requests:
                    await call.write(request)
                async with asyncio.timeout(20):
                    while await call.read() is not grpc.aio.EOF:
                        pass
        # an answer that nobody waits for is dropped
        call = stub.Offer()
        for request in (pb.OfferRequest(offer=good), pb.OfferRequest(answer=answer)):
            await call.write(request)
        assert (await call.read()).offered.name == "x"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert (await stub.ListPlugins(pb.ListPluginsRequest())).plugins == []


async def test_what_a_plugin_does_wrong_fails_the_job_by_its_name_and_the_server_lives(serving):
    broken = threading.Event()

    def fails(stimuli):
        if broken.is_set():
            raise ZeroDivisionError("the rig is off")
        return neuron(stimuli)

    async with serving(engine=ActmaxEngine(), allow_imports=("toy_lab",)) as (server, calls):
        plugin = TargetPlugin(fails, SHAPE)
        with await asyncio.to_thread(PluginOffering(plugin, "neuron", server.address).__enter__):
            made = await calls.create(job({"plugin": "neuron"}, budget={"evaluations": 2000}))
            await calls.until(made.name, lambda job: job.progress.evaluations > 20)
            broken.set()
            done = await calls.ended(made.name)
            assert done.state == FAILED
            assert done.error.code == "FAILED_PRECONDITION"
            assert done.error.message == "plugin neuron at this server: INTERNAL: ZeroDivisionError: the rig is off"
            broken.clear()
            await calls.resume(made.name)
            assert (await calls.ended(made.name)).state == SUCCEEDED
