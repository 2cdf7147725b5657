"""Sessions of several threads, and sessions that start from earlier ones, over the wire."""

from __future__ import annotations

import uuid

import grpc
import numpy as np
import pytest
from calls import refused
from rig import IMPORTS, Stream, array, run, sessions, spec

from actmax.server.security.tokens import Tokens
from actmax.v1 import session_pb2, session_service_pb2_grpc
from actmax.v1 import session_service_pb2 as pb

RIVALS = [{"name": "genetic", "optimizer": {"name": "xdream"}}, {"name": "random", "optimizer": {"name": "random"}}]


async def create(stub, **changes) -> session_pb2.Session:
    return await stub.CreateSession(pb.CreateSessionRequest(spec=spec(**changes), request_id=str(uuid.uuid4())))


async def test_threads_are_told_apart_and_each_has_its_answer(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, threads=RIVALS)
        asked = (await stub.Ask(pb.AskRequest(session=made.name))).ask
        assert set(asked.threads) == {"genetic", "random", ""}
        assert len(asked.threads) == len(asked.trials)
        async with Stream(channel, made.name) as stream:
            _, ended = await run(stream)
        assert [(thread.name, thread.optimizer) for thread in ended.threads] == [("genetic", "xdream"), ("random", "random")]
        assert sum(thread.evaluations for thread in ended.threads) == ended.progress.evaluations
        assert ended.recommendation == ended.threads[0].recommendation
        for thread, other in zip(ended.threads, ("random", "genetic"), strict=True):
            assert thread.recommendation.final
            assert [each.thread for each in thread.recommendation.over_threads] == [other]
            assert array(thread.recommendation.stimulus).shape == (3, 6, 6)
        rows = [row async for batch in stub.ListTrials(pb.ListTrialsRequest(session=made.name)) for row in batch.trials]
        assert [row.thread for row in rows[: len(asked.trials)]] == list(asked.threads)


async def test_the_objective_of_one_thread_is_changed_by_its_name(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, units=[{"name": "a"}, {"name": "b"}], threads=RIVALS)
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "thread"), Stream(channel, made.name) as stream:
            await stream.next("ask")
            await stream.send(change_objective=pb.ChangeObjective(unit="b"))
            await stream.next()
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            await stream.send(change_objective=pb.ChangeObjective(unit="b", thread="random"))
            await stream.next("ack")
            await stream.tell([pb.TrialResponse(trial=trial, responses=[1.0, 2.0]) for trial in ask.trials])
            for _ in range(2):
                ask = (await stream.next("ask")).ask
                await stream.tell([pb.TrialResponse(trial=trial, responses=[1.0, 2.0]) for trial in ask.trials])
            ask = (await stream.next("ask")).ask
        again = await stub.GetSession(pb.GetSessionRequest(name=made.name))
        assert [thread.unit for thread in again.threads] == ["a", "b"]
        # each generation tells of every thread what the session would, but for what is large
        assert [thread.recommendation.response for thread in ask.thread_progress] == [1.0, 2.0]
        for told, known in zip(ask.thread_progress, again.threads, strict=True):
            for large in ("latent", "stimulus", "over_references", "over_first", "over_threads"):
                known.recommendation.ClearField(large)
            assert told == known


async def test_a_session_starts_from_an_earlier_one_and_outlives_it(serving, tmp_path):
    async with sessions(serving, data=tmp_path / "data") as (_, stub, channel):
        earlier = await create(stub)
        async with Stream(channel, earlier.name) as stream:
            _, ended = await run(stream)
        made = await create(stub, seed=9, warm_start={"sessions": [earlier.name], "most": 3})
        assert made.spec.warm_start.sessions == [earlier.name]
        await stub.DeleteSession(pb.DeleteSessionRequest(name=earlier.name))
        first = (await stub.Ask(pb.AskRequest(session=made.name))).ask
        best = array(ended.recommendation.stimulus)
        assert any(np.allclose(stimulus, best, atol=1e-5) for stimulus in array(first.stimuli))
    async with sessions(serving, data=tmp_path / "data") as (_, stub, _):
        again = (await stub.Ask(pb.AskRequest(session=made.name))).ask
        assert again.stimuli == first.stimuli


@pytest.mark.parametrize(
    ("warm", "field"),
    [
        ({"sessions": ["sessions/0123456789abcdef"]}, "spec.warm_start.sessions[0]"),
        ({"sessions": ["earlier", "nonsense"]}, "spec.warm_start.sessions[1]"),
        ({"sessions": ["untold"]}, "spec.warm_start.sessions[0]"),
        ({"sessions": ["other generator"]}, "spec.warm_start.sessions[0]"),
        ({"sessions": ["earlier"], "latents": {"dtype": "float32", "shape": [0]}}, "spec.warm_start"),
        ({"latents": {"dtype": "float32", "shape": [0]}}, "spec.warm_start.latents"),
        ({}, "spec.warm_start"),
    ],
)
async def test_a_start_that_makes_no_sense_is_refused_by_field(serving, warm, field):
    async with sessions(serving) as (_, stub, channel):
        made = {"earlier": await create(stub), "untold": await create(stub)}
        made["other generator"] = await create(stub, generator={"name": "toy_lab:codes"})
        for name in ("earlier", "other generator"):
            async with Stream(channel, made[name].name) as stream:
                ask = (await stream.next("ask")).ask
                await stream.tell([pb.TrialResponse(trial=trial, responses=[1.0]) for trial in ask.trials])
                await stream.next("ask")
        if "sessions" in warm:
            warm = warm | {"sessions": [made[name].name if name in made else name for name in warm["sessions"]]}
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, field):
            await create(stub, warm_start=warm)


async def test_anothers_session_is_no_start(serving):
    async with serving(tokens=True, allow_imports=IMPORTS) as (server, anonymous):
        tokens = Tokens(server.store.database)
        mine, theirs = ([("authorization", f"Bearer {tokens.create(owner, ['submit'])[1]}")] for owner in ("ann", "bob"))
        stub = session_service_pb2_grpc.SessionServiceStub(anonymous.channel)
        made = await stub.CreateSession(pb.CreateSessionRequest(spec=spec()), metadata=mine)
        asked = await stub.Ask(pb.AskRequest(session=made.name), metadata=mine)
        tell = pb.Tell(trials=[pb.TrialResponse(trial=trial, responses=[1.0]) for trial in asked.ask.trials])
        await stub.Tell(pb.TellRequest(session=made.name, tell=tell), metadata=mine)
        request = pb.CreateSessionRequest(spec=spec(warm_start={"sessions": [made.name]}))
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "spec.warm_start.sessions[0]", "there is no session"):
            await stub.CreateSession(request, metadata=theirs)
        await stub.CreateSession(request, metadata=mine)
