"""Targets and generators that have dialled in, asked through the server's door as workers ask them."""

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from calls import calling

from actmax.client.plugin import Fault, GeneratorPlugin, PluginOffering, TargetPlugin
from actmax.models.generators.remote import RemoteGenerator
from actmax.models.generators.testing import check_generator
from actmax.models.permissions import PERMISSIONS, Permissions
from actmax.models.plugins import connection
from actmax.models.plugins.connection import PluginError
from actmax.models.targets.remote import RemoteTarget
from actmax.models.targets.testing import check_target
from actmax.v1 import plugin_service_pb2 as pb
from actmax.v1 import plugin_service_pb2_grpc

SHAPE = (3, 6, 6)


@asynccontextmanager
async def offered(plugin, address: str, name: str = "neuron"):
    offering = PluginOffering(plugin, name, address)
    await asyncio.to_thread(offering.__enter__)
    try:
        yield offering
    finally:
        await asyncio.to_thread(offering.close)


async def made(server, kind: Any = RemoteTarget, **options) -> Any:
    """A target or generator as a worker makes it."""
    context = {PERMISSIONS: Permissions(relay=server._relay.address("", patient=True))}
    read = kind.Options.model_validate({"plugin": "neuron", **options}, context=context)
    return await asyncio.to_thread(kind.from_options, read)


def mean(stimuli):
    return stimuli.mean((1, 2, 3))


async def test_they_keep_the_contracts_and_large_things_go_in_parts(serving):
    bank = np.random.default_rng(0).normal(size=(500, 50)).clip(-3, 3)
    maps = TargetPlugin({"map": lambda stimuli: stimuli, "mean": mean}, SHAPE)
    decoder = GeneratorPlugin(lambda z: (0.5 + z[:, :48] / 6).reshape(-1, 3, 4, 4), (50,), bank=bank)
    async with serving(max_receive_bytes=20_000) as (server, _), offered(maps, server.address), offered(decoder, server.address):
        target = await made(server)
        await asyncio.to_thread(check_target, target)
        stimuli = torch.rand(60, *SHAPE)  # 52 kB of responses
        assert torch.equal((await asyncio.to_thread(target.respond, stimuli, {"map"}))["map"], stimuli)
        generator = await made(server, RemoteGenerator)
        await asyncio.to_thread(check_generator, generator)
        assert generator.prior is not None
        assert np.array_equal(generator.prior.bank, bank.astype(np.float32))  # 100 kB


async def test_a_request_whose_stream_is_lost_is_sent_again(serving):
    asked = threading.Event()
    release = threading.Event()

    def slow(stimuli):
        asked.set()
        release.wait(20)
        return mean(stimuli)

    release.set()
    async with serving() as (server, _):
        first = PluginOffering(TargetPlugin(slow, SHAPE), "neuron", server.address)
        await asyncio.to_thread(first.__enter__)
        target = await made(server)
        release.clear()
        asked.clear()
        stimuli = torch.rand(4, *SHAPE)
        answer = asyncio.ensure_future(asyncio.to_thread(target.respond, stimuli, {"output"}))
        await asyncio.to_thread(asked.wait, 200)
        first._stream.close()  # type: ignore[union-attr] - as a network does
        first._closed = True
        await asyncio.sleep(0.3)
        async with offered(TargetPlugin(mean, SHAPE), server.address) as second:
            found = (await answer)["output"]
            assert second.answered == 1
        assert torch.allclose(found[:, 0], stimuli.mean((1, 2, 3)))
        release.set()
        await asyncio.to_thread(first.close)


async def test_a_plugin_that_is_slow_or_busy_or_fails_is_told_by_name(serving, pauses_of):
    how = {"busy": 0}
    goes_on = threading.Event()
    goes_on.set()

    def moody(stimuli):
        goes_on.wait(60)
        if how["busy"]:
            how["busy"] -= 1
            raise Fault("one moment", grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY", retry_seconds=0.3)
        if stimuli.max() > 1:
            raise Fault("too bright")
        return mean(stimuli)

    async with serving() as (server, _), offered(TargetPlugin(moody, SHAPE), server.address):
        target = await made(server, deadline_seconds=3.0)
        stimuli = torch.zeros(2, *SHAPE)

        async def respond(shown=stimuli):
            return await asyncio.to_thread(target.respond, shown, {"output"})

        how["busy"] = 2
        pauses = pauses_of(connection)
        assert (await respond())["output"].shape == (2, 1)
        assert len(pauses) == 2
        assert min(pauses) >= 0.3
        with pytest.raises(PluginError, match="plugin neuron at this server: FAILED_PRECONDITION: too bright"):
            await respond(2 + stimuli)
        goes_on.clear()
        with pytest.raises(PluginError, match="DEADLINE_EXCEEDED"):
            await respond()
        goes_on.set()
        assert (await respond())["output"].shape == (2, 1)  # what came too late was dropped


async def test_answers_of_another_kind_and_silence_are_told(serving):
    described = TargetPlugin(mean, SHAPE).description
    async with serving() as (server, _), calling(server.address) as calls:
        call = plugin_service_pb2_grpc.PluginServiceStub(calls.channel).Offer()
        await call.write(pb.OfferRequest(offer=pb.PluginOffer(name="neuron", target=described)))
        assert (await call.read()).offered.name == "neuron"
        target = await made(server, deadline_seconds=2.0)
        answer = asyncio.ensure_future(asyncio.to_thread(target.respond, torch.zeros(2, *SHAPE), {"output"}))
        asked = (await call.read()).call
        assert asked.respond.stimuli.shape == [2, *SHAPE]
        assert 0 < asked.seconds <= 2
        bank = pb.GetBankResponse(latents=asked.respond.stimuli, version="1")
        await call.write(pb.OfferRequest(answer=pb.PluginAnswer(call=asked.call, bank=bank)))
        with pytest.raises(PluginError, match="gave another answer than was asked for: bank, not respond"):
            await answer
        silent = asyncio.ensure_future(asyncio.to_thread(target.respond, torch.zeros(2, *SHAPE), {"output"}))
        assert (await call.read()).call.call == 2
        with pytest.raises(PluginError, match="plugin neuron at this server: DEADLINE_EXCEEDED: "):
            await silent
        assert (await call.read()).cancel.call == 2
        call.cancel()
