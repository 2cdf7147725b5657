"""Sessions whose stimuli a plugin makes: at an address, dialled in, killed, replaced, another's, hanging."""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid

import grpc
import numpy as np
import pytest
from calls import details, refused
from plugin_processes import FIXTURES, free_port, offered, process
from rig import Stream, answers, array, run, spec

from actmax.client import Credentials
from actmax.client.plugin import GeneratorPlugin
from actmax.models.plugins import connection
from actmax.server.security.tokens import Tokens
from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

UNAVAILABLE, FAILED_PRECONDITION = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(autouse=True)
def _fixtures(monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURES))
    # a plugin that is away is asked as often as ever, in less time
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.2)


def decoder(decode=None):
    import plugin_process

    made = plugin_process.generator()
    return made if decode is None else GeneratorPlugin(decode, (5,), bounds=(-2.0, 2.0), bank=np.eye(5))


def remote(options, **changes) -> session_pb2.SessionSpec:
    small = {"stop": {"evaluations": 60}, "optimizer": {"name": "random"}}
    return spec(generator={"name": "remote", "options": options}, **{**small, **changes})


def stub_of(calls):
    return session_service_pb2_grpc.SessionServiceStub(calls.channel)


async def created(stub, message, metadata=None) -> session_pb2.Session:
    return await stub.CreateSession(pb.CreateSessionRequest(spec=message, request_id=str(uuid.uuid4())), metadata=metadata)


async def until_there(call):
    """The answer of ``call`` once the plugin is back."""
    async with asyncio.timeout(200):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if details(error)[0].reason != "PLUGIN_AWAY":
                    raise
                await asyncio.sleep(0.2)


@pytest.mark.parametrize("dialled", [False, True])
async def test_a_session_goes_on_with_the_same_bits_though_plugin_and_server_went_away(serving, tmp_path, dialled):
    address = f"127.0.0.1:{free_port()}"
    options = {"plugin": "decoder"} if dialled else {"plugin": "decoder", "address": f"grpc://{address}"}
    allowed = {"allow_imports": (f"grpc://{address}",)}

    def where(server):
        return ("decode", server.address, "decoder") if dialled else ("serve", address)

    async with serving(data=tmp_path / "calm", **allowed) as (server, calls), process(*where(server)):
        made = await created(stub_of(calls), remote(options))
        assert (list(made.stimulus_shape), made.stimulus_high) == ([3, 6, 6], 1.0)
        async with Stream(calls.channel, made.name) as stream:
            expected, ended = await run(stream)
    shown = []
    async with serving(**allowed) as (server, calls):
        async with process(*where(server)) as plugin:
            name = (await created(stub_of(calls), remote(options))).name
            async with Stream(calls.channel, name) as stream:
                for _ in range(3):
                    ask = (await stream.next("ask")).ask
                    shown.append(ask.stimuli.data)
                    await stream.tell(answers(ask))
                ask = (await stream.next("ask")).ask
                plugin.kill()
                plugin.wait()
                # the rig has these in hand: their responses are taken whether the plugin is there or not
                ack = await stream.tell(answers(ask)[:5])
                assert (ack.trials, ack.untold) == (5, 7)
        found = await stub_of(calls).GetSession(pb.GetSessionRequest(name=name))
        assert (found.progress.generation, found.progress.untold) == (4, 7)
        assert found.recommendation.HasField("latent")
    async with serving(**allowed) as (server, calls):  # replayed without the plugin
        found = await stub_of(calls).GetSession(pb.GetSessionRequest(name=name))
        assert (found.progress.generation, found.progress.untold) == (4, 7)
        assert not found.recommendation.HasField("stimulus")
        async with refused(UNAVAILABLE, match="goes on when the plugin is back") as caught:
            await stub_of(calls).Ask(pb.AskRequest(session=name))
        assert details(caught[0])[0].reason == "PLUGIN_AWAY"
        async with refused(UNAVAILABLE):
            async for _ in stub_of(calls).ListTrials(pb.ListTrialsRequest(session=name, stimuli=True)):
                pass
        async with Stream(calls.channel, name) as stream:
            assert (await stream.tell(answers(ask)[5:9])).untold == 3  # told before anything could be asked
            async with refused(UNAVAILABLE, match="plugin decoder at"):
                await stream.next()
        async with process(*where(server)):
            rest = (await until_there(lambda: stub_of(calls).Ask(pb.AskRequest(session=name)))).ask
            assert list(rest.trials) == list(ask.trials)[9:]
            np.testing.assert_array_equal(array(rest.stimuli), array(ask.stimuli)[9:])
            await stub_of(calls).Tell(pb.TellRequest(session=name, tell=pb.Tell(trials=answers(rest))))
            shown.append(ask.stimuli.data)
            async with Stream(calls.channel, name) as stream:
                further, again = await run(stream)
    assert shown + further == expected
    assert again.recommendation == ended.recommendation
    assert array(again.recommendation.stimulus).shape == (3, 6, 6)


async def test_the_end_is_told_with_the_stimulus_as_it_was_shown_last_though_the_plugin_is_gone(serving):
    async with serving() as (server, calls):
        async with process("decode", server.address, "decoder") as plugin:
            first, made = [await created(stub_of(calls), remote({"plugin": "decoder"})) for _ in range(2)]
            async with Stream(calls.channel, first.name) as stream:
                expected, _ = await run(stream)
            ask = pb.Generation()
            async with Stream(calls.channel, made.name) as stream:
                for generation in range(1, len(expected) + 1):
                    ask = (await stream.next("ask")).ask
                    if generation == len(expected):
                        plugin.kill()  # the last generation is in hand
                        plugin.wait()
                    await stream.tell(answers(ask))
                ended = (await stream.next("ended")).ended
        assert ended.recommendation.final
        best = array(ended.recommendation.stimulus)
        assert any(np.array_equal(best, row) for row in array(ask.stimuli))


async def test_scores_that_need_the_stimuli_wait_for_the_plugin_and_no_bit_changes(serving, tmp_path):
    terms = [{"objective": {"name": "unit"}, "weight": 1}, {"objective": {"name": "total-variation"}, "weight": -9}]
    message = remote({"plugin": "decoder"}, objective={"name": "sum", "options": {"terms": terms}}, optimizer={"name": "cma"})
    async with serving(data=tmp_path / "calm") as (server, calls), process("decode", server.address, "decoder"):
        made = await created(stub_of(calls), message)
        async with Stream(calls.channel, made.name) as stream:
            expected, ended = await run(stream)
    shown = []
    async with serving() as (server, calls), process("decode", server.address, "decoder"):
        name = (await created(stub_of(calls), message)).name
        async with Stream(calls.channel, name) as stream:
            for _ in range(2):
                ask = (await stream.next("ask")).ask
                shown.append(ask.stimuli.data)
                await stream.tell(answers(ask))
            ask = (await stream.next("ask")).ask
            shown.append(ask.stimuli.data)
    async with serving() as (server, calls):
        stub = stub_of(calls)
        async with refused(UNAVAILABLE, match="waits for its generator"):  # the replay asks for stimuli here
            await stub.GetSession(pb.GetSessionRequest(name=name))
        async with process("decode", server.address, "decoder") as plugin:
            assert (await until_there(lambda: stub.GetSession(pb.GetSessionRequest(name=name)))).progress.generation == 3
            plugin.kill()
            plugin.wait()
        # all of the generation is told, and can't be scored before the plugin is back
        told = await stub.Tell(pb.TellRequest(session=name, tell=pb.Tell(trials=answers(ask))))
        assert told.ack.untold == 0
        async with refused(UNAVAILABLE) as caught:
            await stub.Ask(pb.AskRequest(session=name))
        assert details(caught[0])[0].reason == "PLUGIN_AWAY"
        async with process("decode", server.address, "decoder"):
            assert (await until_there(lambda: stub.Ask(pb.AskRequest(session=name)))).ask.generation == 4
            async with Stream(calls.channel, name) as stream:
                further, again = await run(stream)
    assert shown + further == expected
    assert again.recommendation == ended.recommendation


async def test_another_version_is_refused_and_the_old_one_lets_the_session_go_on(serving):
    async with serving() as (server, calls):
        stub = stub_of(calls)
        async with process("decode", server.address, "decoder", "1"):
            name = (await created(stub, remote({"plugin": "decoder"}))).name
            first = (await stub.Ask(pb.AskRequest(session=name))).ask
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.generator.options.plugin", "the session asks for '2'"):
                await created(stub, remote({"plugin": "decoder", "version": "2"}))
        async with process("decode", server.address, "decoder", "2"):
            await stub.Tell(pb.TellRequest(session=name, tell=pb.Tell(trials=answers(first))))
            async with refused(FAILED_PRECONDITION, match="version '2', '1' was asked") as caught:
                await stub.Ask(pb.AskRequest(session=name))
            assert details(caught[0])[0].reason == "PLUGIN_FAILED"
            async with refused(
                grpc.StatusCode.INVALID_ARGUMENT, "spec.warm_start.sessions[0]", "version '1' of the plugin, which is '2' now"
            ):
                await created(stub, remote({"plugin": "decoder"}, warm_start={"sessions": [name]}))
        async with process("decode", server.address, "decoder", "1"):
            warm = await created(stub, remote({"plugin": "decoder"}, warm_start={"sessions": [name]}))
            assert warm.spec.warm_start.sessions == [name]
            assert (await until_there(lambda: stub.Ask(pb.AskRequest(session=name)))).ask.generation == 2


async def test_plugins_and_addresses_are_as_for_jobs_those_that_the_owner_may_use(serving):
    async with serving(tokens=True) as (server, calls):
        tokens = Tokens(server.store.database)
        shown = {owner: tokens.create(owner, ["submit"])[1] for owner in ("ann", "bob", "eve")}
        root = [("authorization", f"Bearer {tokens.create('root', ['admin'])[1]}")]
        stub = stub_of(calls)

        def as_(owner):
            return [("authorization", f"Bearer {shown[owner]}")]

        async with offered(decoder(), server.address, "decoder", credentials=Credentials(shown["ann"]), shared_with=["bob"]):
            made = await created(stub, remote({"plugin": "decoder"}), as_("ann"))
            await created(stub, remote({"plugin": "ann/decoder"}), as_("bob"))
            for owner, plugin in (("bob", "decoder"), ("eve", "ann/decoder")):
                async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.generator.options.plugin"):
                    await created(stub, remote({"plugin": plugin}), as_(owner))
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.generator.options.address", "--allow-import"):
                await created(stub, remote({"address": f"grpc://{server.address}"}), as_("ann"))
    async with serving(tokens=True) as (server, calls):
        stub = stub_of(calls)
        async with offered(decoder(), server.address, "decoder", credentials=Credentials(shown["ann"])):
            # whoever opens it, the plugin is asked for its owner
            asked = await stub.Ask(pb.AskRequest(session=made.name), metadata=root)
            assert len(asked.ask.trials) == 11


async def test_a_plugin_that_hangs_holds_up_its_own_session_alone_and_not_the_servers_stop(serving):
    hanging, go_on, went_on = threading.Event(), threading.Event(), threading.Event()

    def decode(latents):
        if hanging.is_set():
            go_on.wait(250)
            went_on.set()
        return np.full((len(latents), 3, 6, 6), 0.5)

    async with serving(threads=1, allow_imports=("toy_lab",)) as (server, calls), offered(decoder(decode), server.address, "decoder"):
        stub = stub_of(calls)
        slow = await created(stub, remote({"plugin": "decoder", "deadline_seconds": 3000}))
        hanging.set()
        waiting = asyncio.ensure_future(stub.Ask(pb.AskRequest(session=slow.name)))
        await asyncio.sleep(0.5)
        other = await created(stub, spec(optimizer={"name": "random"}))
        async with asyncio.timeout(200):
            assert len((await stub.Ask(pb.AskRequest(session=other.name))).ask.trials) == 11
        assert not waiting.done()
        await server.stop()  # while the plugin hangs still
        assert not went_on.is_set()
        go_on.set()
        with pytest.raises(grpc.aio.AioRpcError):
            await waiting


async def test_a_plugin_that_does_not_tell_of_itself_is_given_up_in_time(serving):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        async with (
            serving(allow_imports=(address,), check_seconds=2.0) as (_, calls),
            refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.generator.options.address"),
        ):
            await created(stub_of(calls), remote({"address": address, "deadline_seconds": 3000}))
