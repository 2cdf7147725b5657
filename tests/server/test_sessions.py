"""SessionService: a rig runs an experiment through anything that may happen to it."""

from __future__ import annotations

import asyncio
import io
import uuid

import grpc
import numpy as np
import pytest
from calls import details, refused
from PIL import Image
from rig import Stream, answers, array, run, sessions, spec

from actmax.engine.session import durable_session as kept_module
from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb


async def create(stub, **changes) -> session_pb2.Session:
    return await stub.CreateSession(pb.CreateSessionRequest(spec=spec(**changes), request_id=str(uuid.uuid4())))


async def test_a_session_from_first_to_last_and_the_same_again_without_a_stream(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        assert made.state == session_pb2.SESSION_STATE_OPEN
        assert list(made.stimulus_shape) == [3, 6, 6]
        assert made.optimizer.startswith("thompson")
        async with Stream(channel, made.name) as stream:
            shown, ended = await run(stream)
        assert ended.state == session_pb2.SESSION_STATE_ENDED
        assert ended.stopped_by == "evaluations"
        assert ended.recommendation.final
        assert ended.recommendation.low < ended.recommendation.response < ended.recommendation.high
        assert ended.recommendation.over_first.measurements == ended.recommendation.measurements
        assert array(ended.recommendation.stimulus).shape == (3, 6, 6)
        other = await create(stub)
        again = []
        while not (asked := await stub.Ask(pb.AskRequest(session=other.name))).HasField("ended"):
            again.append(asked.ask.stimuli.data)
            trials = answers(asked.ask)
            await stub.Tell(pb.TellRequest(session=other.name, tell=pb.Tell(trials=trials[:5])))
            # asked again, only what is untold comes
            rest = await stub.Ask(pb.AskRequest(session=other.name))
            assert list(rest.ask.trials) == list(asked.ask.trials)[5:]
            await stub.Tell(pb.TellRequest(session=other.name, tell=pb.Tell(trials=trials[5:])))
        assert again == shown
        assert asked.ended.recommendation == ended.recommendation
        listed = await stub.ListSessions(pb.ListSessionsRequest(page_size=1))
        assert [session.name for session in listed.sessions] == [other.name]
        rest = await stub.ListSessions(pb.ListSessionsRequest(page_size=1, page_token=listed.next_page_token))
        assert [(session.name, session.state) for session in rest.sessions] == [(made.name, session_pb2.SESSION_STATE_ENDED)]
        assert not rest.next_page_token


async def test_a_request_id_creates_once(serving):
    async with sessions(serving) as (_, stub, _):
        request = pb.CreateSessionRequest(spec=spec(), request_id=str(uuid.uuid4()))
        first, second = await asyncio.gather(stub.CreateSession(request), stub.CreateSession(request))
        assert first.name == second.name
        request.spec.seed = 6
        async with refused(grpc.StatusCode.ALREADY_EXISTS):
            await stub.CreateSession(request)


async def test_no_owner_has_more_sessions_open_than_are_allowed(serving):
    async with sessions(serving, max_open_sessions_per_owner=2) as (_, stub, _):
        requests = [pb.CreateSessionRequest(spec=spec(), request_id=str(uuid.uuid4())) for _ in range(4)]
        found = await asyncio.gather(*(stub.CreateSession(request) for request in requests), return_exceptions=True)
        made = [(request, one.name) for request, one in zip(requests, found, strict=True) if isinstance(one, session_pb2.Session)]
        assert len(made) == 2
        refusals = [one for one in found if isinstance(one, grpc.aio.AioRpcError)]
        assert [one.code() for one in refusals] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
        assert "2 sessions of yours are open" in str(refusals[0].details())
        request, name = made[0]
        again = await stub.CreateSession(request)
        assert again.name == name, "one that was made is told, not made once more"
        await stub.CloseSession(pb.CloseSessionRequest(name=again.name))
        await create(stub)
        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, match="close one"):
            await create(stub)


async def test_reopening_sends_what_is_untold_and_ends_the_older_stream(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        async with Stream(channel, made.name) as older:
            ask = (await older.next("ask")).ask
            ack = await older.tell(answers(ask)[:4])
            assert (ack.trials, ack.untold) == (4, len(ask.trials) - 4)
            async with Stream(channel, made.name, last_sequence=ack.sequence) as newer:
                assert newer.opened.last_sequence == ack.sequence
                rest = (await newer.next("ask")).ask
                assert list(rest.trials) == list(ask.trials)[4:]
                np.testing.assert_array_equal(array(rest.stimuli), array(ask.stimuli)[4:])
                async with refused(grpc.StatusCode.ABORTED, match="opened"):
                    await older.next()
                # what the older one has acknowledged may be said again
                assert (await newer.tell(answers(ask)[2:6])).untold == len(ask.trials) - 6
                async with refused(grpc.StatusCode.FAILED_PRECONDITION) as other, Stream(channel, made.name, "another"):
                    pass
                assert details(other[0])[0].reason == "SESSION_IN_USE"
                async with refused(grpc.StatusCode.FAILED_PRECONDITION):
                    await stub.Ask(pb.AskRequest(session=made.name))
                async with Stream(channel, made.name, "another", take_over=True) as taken:
                    assert len((await taken.next("ask")).ask.trials) == len(ask.trials) - 6
                    async with refused(grpc.StatusCode.ABORTED, match="another client"):
                        await newer.next()
        async with refused(grpc.StatusCode.DATA_LOSS), Stream(channel, made.name, last_sequence=99):
            pass


@pytest.mark.parametrize(
    ("trials", "code", "reason"),
    [
        ([pb.TrialResponse(trial=99, responses=[1])], grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_TRIAL"),
        ([pb.TrialResponse(trial=2, responses=[float("nan")])], grpc.StatusCode.INVALID_ARGUMENT, "NOT_FINITE"),
        ([pb.TrialResponse(trial=2, responses=[1e80])], grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE"),
        ([pb.TrialResponse(trial=2, responses=[1], onset=float("nan"))], grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ([pb.TrialResponse(trial=2, responses=[1], onset=1e18)], grpc.StatusCode.INVALID_ARGUMENT, "CLOCK_JUMP"),
        ([pb.TrialResponse(trial=2, responses=[-1])], grpc.StatusCode.INVALID_ARGUMENT, "NEGATIVE_RESPONSE"),
        ([pb.TrialResponse(trial=2, responses=[1, 2])], grpc.StatusCode.INVALID_ARGUMENT, "WRONG_SHAPE"),
        ([pb.TrialResponse(trial=1, responses=[77])], grpc.StatusCode.ABORTED, "CONFLICTING_TELL"),
        ([], grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    ],
)
async def test_what_is_wrong_is_refused_by_name_and_nothing_is_lost(serving, trials, code, reason):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            right = answers(ask)
            await stream.tell(right[:1])
            async with refused(code) as found:
                # a right one before the wrong one is kept, also where they come together
                await stream.send(tell=pb.Tell(trials=right[2:3]))
                await stream.send(tell=pb.Tell(trials=trials))
                assert (await stream.next("ack")).ack.trials == 1
                await stream.next()
            assert details(found[0])[0].reason == reason
        async with Stream(channel, made.name) as stream:
            assert list((await stream.next("ask")).ask.trials) == [t for t in ask.trials if t not in (ask.trials[0], ask.trials[2])]
            assert stream.opened.session.progress.told == 2


async def test_missed_trials_partial_generations_and_late_responses(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            right = answers(ask)
            await stream.tell([pb.TrialResponse(trial=ask.trials[0], missed=True), *right[1:6]])
            await stream.send(advance=pb.Advance(generation=1))
            assert (await stream.next("ack")).ack.untold == 0
            second = (await stream.next("ask")).ask
            assert second.generation == 2
            assert second.progress.missed == len(ask.trials) - 5
            ack = await stream.tell(right[7:8])
            assert (ack.trials, ack.late) == (1, 1)
            await stream.send(advance=pb.Advance(generation=1))  # said twice
            assert (await stream.next("ack")).ack.untold == len(second.trials)
        rows = [row async for batch in stub.ListTrials(pb.ListTrialsRequest(session=made.name, stimuli=True)) for row in batch.trials]
        assert [row.trial for row in rows] == list(range(1, second.trials[-1] + 1))
        assert rows[right[7].trial - 1].status == "late"
        assert rows[0].status == "missed"


async def test_late_responses_that_come_with_the_last_ones_are_taken_before_the_end_is_told(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, stop={"evaluations": 30}, optimizer={"name": "random"})
        async with Stream(channel, made.name) as stream:
            first = (await stream.next("ask")).ask
            await stream.tell(answers(first)[1:])
            await stream.send(advance=pb.Advance(generation=1))
            await stream.next("ack")
            late = answers(first)[:1]
            while not (response := await stream.next()).HasField("ended"):
                last = response.ask
                await stream.send(tell=pb.Tell(trials=answers(last)))
                left = last.progress.total_evaluations - last.progress.evaluations
                if left == list(last.kinds).count(session_pb2.TRIAL_KIND_REMEASURE) and last.progress.remeasuring:  # the last ones
                    await stream.send(tell=pb.Tell(trials=late))
                    await stream.send(tell=pb.Tell(trials=answers(last)))
                    assert [(await stream.next("ack")).ack.late for _ in range(3)] == [0, 1, 0]
                else:
                    await stream.next("ack")
            assert response.ended.progress.late == 1
            assert response.ended.progress.missed == 0


async def test_a_generation_ends_when_its_time_is_over(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, design={"generation_size": 12, "generation_seconds": 0.3})
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            await stream.tell(answers(ask)[:3])
            assert (await stream.next("ask")).ask.generation == 2


async def test_a_session_warns_before_it_expires_and_goes_on_when_it_is_renewed(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, expire_seconds=1.2)
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="expired") as found, Stream(channel, made.name) as stream:
            await stream.next("ask")
            assert (await stream.next("warning")).warning.expire_time.ToMicroseconds() == made.expire_time.ToMicroseconds()
            await stream.next("warning")
            await stream.next()
        assert details(found[0])[0].reason == "SESSION_EXPIRED"
        async with refused(grpc.StatusCode.FAILED_PRECONDITION):
            await stub.Tell(pb.TellRequest(session=made.name, tell=pb.Tell(trials=[pb.TrialResponse(trial=1, responses=[1])])))
        async with Stream(channel, made.name, renew=True) as stream:
            await stream.tell(answers((await stream.next("ask")).ask))


async def test_an_objective_that_is_changed_is_kept(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, units=[{"name": "a"}, {"name": "b"}])
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            await stream.send(change_objective=pb.ChangeObjective(unit="b"))
            await stream.next("ack")
            both = [pb.TrialResponse(trial=t.trial, responses=[*t.responses, 3.0]) for t in answers(ask)]
            await stream.tell(both)
            await stream.next("ask")
        assert (await stub.GetSession(pb.GetSessionRequest(name=made.name))).unit == "b"
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "unit"), Stream(channel, made.name) as stream:
            await stream.next("ask")
            await stream.send(change_objective=pb.ChangeObjective(unit="c"))
            await stream.next()


async def test_pictures_come_at_the_rigs_size(serving):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub, presentation={"encoding": "STIMULUS_ENCODING_PNG", "width": 20, "height": 10})
        async with Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            assert len(ask.png) == len(ask.trials)
            with Image.open(io.BytesIO(ask.png[0])) as image:
                assert (image.size, image.mode, image.format) == ((20, 10), "RGB", "PNG")
        made = await create(stub, presentation={"encoding": "STIMULUS_ENCODING_UINT8"})
        async with Stream(channel, made.name) as stream:
            shown = array((await stream.next("ask")).ask.stimuli)
            assert shown.dtype == np.uint8
            assert shown.std() > 5


async def test_a_session_ends_and_is_forgotten_when_it_is_told_to(serving, tmp_path):
    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="close it first"):
            await stub.DeleteSession(pb.DeleteSessionRequest(name=made.name))
        async with Stream(channel, made.name) as stream:
            await stream.next("ask")
            closed = await stub.CloseSession(pb.CloseSessionRequest(name=made.name))
            assert closed.state == session_pb2.SESSION_STATE_CLOSED
            async with refused(grpc.StatusCode.FAILED_PRECONDITION, match="is closed"):
                await stream.next()
        await stub.DeleteSession(pb.DeleteSessionRequest(name=made.name))
        async with refused(grpc.StatusCode.NOT_FOUND):
            await stub.GetSession(pb.GetSessionRequest(name=made.name))
        assert not list((tmp_path / "data" / "sessions").iterdir())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"generator": {"name": "toy_lab:decoder", "options": {"bnk": 2}}}, "spec.generator.options.bnk"),
        ({"unit": "c"}, "spec.unit"),
        ({"optimizer": {"name": "adam"}}, "spec.optimizer"),
        ({"units": []}, "spec.units"),
        ({"stop": {}}, "spec.stop.evaluations"),
        ({"design": {"references": {"rate": 0.9}}}, "spec.design.references.rate"),
        ({"design": {"references": {"stimuli": {"dtype": "float32", "shape": [2], "data": "AAAA"}}}}, "spec.design.references.stimuli"),
    ],
)
async def test_what_can_not_work_is_refused_by_field(serving, changes, field):
    async with sessions(serving) as (_, stub, _):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, field):
            await create(stub, **changes)
        assert not (await stub.ListSessions(pb.ListSessionsRequest())).sessions


async def test_a_restart_in_any_generation_changes_no_bit(serving, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "SNAPSHOT_SECONDS", 0.05)
    async with sessions(serving, data=tmp_path / "quiet") as (_, stub, channel), Stream(channel, (await create(stub)).name) as stream:
        expected, ended = await run(stream)
    shown, name, response = {}, "", None
    for part in range(40):
        async with sessions(serving) as (_, stub, channel):
            name = name or (await create(stub)).name
            async with Stream(channel, name) as stream:
                response = await stream.next()
                if response.HasField("ended"):
                    break
                ask = response.ask
                if len(ask.trials) > 6:
                    shown[ask.generation] = ask.stimuli.data
                    await stream.tell(answers(ask)[:3])
                    if part % 2:
                        continue
                    await stream.tell(answers(ask)[3:])
                else:
                    await stream.tell(answers(ask))
    assert response is not None
    assert response.ended.recommendation == ended.recommendation
    for generation, data in shown.items():
        assert expected[generation - 1].endswith(data)
    assert len(shown) >= 4


async def test_a_full_disk_acknowledges_nothing_and_loses_nothing(serving, monkeypatch):
    from actmax.engine.session.log import Log

    async with sessions(serving) as (_, stub, channel):
        made = await create(stub)
        append = Log.append

        def full(self, records):
            raise OSError(28, "No space left on device")

        async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED), Stream(channel, made.name) as stream:
            ask = (await stream.next("ask")).ask
            await stream.tell(answers(ask)[:2])
            monkeypatch.setattr(Log, "append", full)
            await stream.tell(answers(ask)[2:5])
        monkeypatch.setattr(Log, "append", append)
        async with Stream(channel, made.name) as stream:
            assert list((await stream.next("ask")).ask.trials) == list(ask.trials)[2:]
