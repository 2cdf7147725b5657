"""The client of a session: a rig's script goes on whatever happens to the server, to other clients and to itself."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from serving import ServerProcess, actmax

from actmax.client import AsyncSession, InvalidInput, Session, Unavailable, WrongState
from actmax.client.sessions.core import Pings
from actmax.client.sessions.trials import fetch_trials

SPEC = {
    "generator": "toy_lab:decoder",
    "units": ["a", {"name": "b", "kind": "rate"}],
    "stop": {"evaluations": 110},
    "design": {"generation_size": 12},
    "seed": 5,
}


def rig(generation) -> np.ndarray:
    """Two units; responses belong to the trial, so that the same trial gets the same ones."""
    rates = 20 * generation.stimuli.astype(np.float64).reshape(len(generation), -1).mean(1) ** 2
    counts = [np.random.default_rng(trial).poisson(rate) for trial, rate in zip(generation.trials, rates, strict=True)]
    return np.stack([counts, rates], 1)


def run(session: Session) -> list[tuple[tuple[int, ...], bytes]]:
    shown = []
    for generation in session:
        shown.append((generation.trials, generation.stimuli.tobytes()))
        session.tell(rig(generation))
    return shown


def test_a_script_runs_an_experiment_and_asyncio_gets_the_same(server):
    with Session.create(SPEC, server.address) as session:
        shown = run(session)
        assert session.ended
        assert session.described.recommendation.final
        assert session.described.stopped_by == "evaluations"

    async def same():
        found = []
        async with await AsyncSession.create(SPEC, server.address) as other:
            async for generation in other:
                found.append((generation.trials, generation.stimuli.tobytes()))
                await other.tell(rig(generation))
        return found

    import asyncio

    assert asyncio.run(same()) == shown


def test_trial_by_trial_and_parts_of_a_generation(server):
    with Session.create(SPEC, server.address) as session:
        first = session.ask()
        assert first is not None
        assert set(first.kinds) == {"candidate", "reference"}
        session.tell_trial(first.trials[0], [3, 1.5], onset=1.0, offset=2.0)
        session.tell_trial(first.trials[1], None)
        left = session.ask()
        assert left is not None
        assert left.trials == first.trials[2:]
        np.testing.assert_array_equal(left.stimuli, first.stimuli[2:])
        with pytest.raises(InvalidInput, match="is at least 0") as refused:
            session.tell_trial(first.trials[2], [-1, 0])
        assert refused.value.reason == "NEGATIVE_RESPONSE"
        with pytest.raises(WrongState) as conflict:
            session.tell_trial(first.trials[0], [4, 1.5])
        assert conflict.value.reason == "CONFLICTING_TELL"
        with pytest.raises(InvalidInput, match="a row for each of"):
            session.tell([1.0])
        with pytest.raises(InvalidInput, match="is at least 0"):
            session.tell_trials(first.trials[2:4], [[3, 1], [-1, 0]])
        session.tell_trials([first.trials[3], first.trials[2]], [[5, 2.5], [4, 2]], onsets=[4.0, 3.0])
        left = session.ask()
        assert left is not None
        assert left.trials == first.trials[4:]  # nothing was kept of what was refused, all of what was taken
        session.advance()
        second = session.ask()
        assert second is not None
        assert second.number == 2
        assert second.progress.told == 3
        session.change_objective(unit="b")
        session.tell(rig(second))
        session.ask()


def test_responses_after_the_end_are_kept_as_late_until_the_session_is_closed(server):
    import asyncio

    short = SPEC | {"stop": {"evaluations": 30}, "optimizer": "random"}
    with Session.create(short, server.address) as session:
        first = session.ask()
        assert first is not None
        session.tell_trials(first.trials[2:], rig(first)[2:])
        session.advance()
        run(session)
        session.tell_trials(first.trials[:1], rig(first)[:1])
        with pytest.raises(WrongState) as conflict:
            session.tell_trials(first.trials[:1], [[999, 1]])
        assert conflict.value.reason == "CONFLICTING_TELL"
        with pytest.raises(InvalidInput, match="is at least 0"):
            session.tell_trial(first.trials[1], [-1, 0])

    async def later():
        async with AsyncSession(session.name, server.address) as again:
            assert await again.ask() is None
            await again.tell_trial(first.trials[1], rig(first)[1])

    asyncio.run(later())
    found = fetch_trials(session.name, server.address)
    assert found.status[:3] == ["late", "late", "told"]
    np.testing.assert_array_equal(found.responses[:2], rig(first)[:2])
    actmax("session", "close", session.name, "--server", server.address)
    with Session(session.name, server.address) as closed, pytest.raises(WrongState) as refused:
        closed.tell_trials(first.trials[:1], rig(first)[:1])
    assert refused.value.reason == "SESSION_CLOSED"


def test_a_clock_that_began_anew_is_declared_and_a_silent_unit_is_told_beside_the_other(server):
    with Session.create(SPEC, server.address) as session:
        first = session.ask()
        assert first is not None
        session.tell(rig(first), onsets=np.arange(len(first)) + 5000.0)
        second = session.ask()
        assert second is not None
        responses = rig(second)
        responses[0, 1] = np.nan
        with pytest.raises(InvalidInput, match="began anew"):
            session.tell(responses, onsets=np.arange(len(second)) + 1.0)
        session.restart_clock()
        session.tell(responses, onsets=np.arange(len(second)) + 1.0)
        third = session.ask()
        assert third is not None
        trials = fetch_trials(session.name, server.address)
        assert trials.clock[: len(first)].tolist() == [1] * len(first)
        assert trials.clock[len(first) : len(first) + len(second)].tolist() == [2] * len(second)
        assert trials.status[len(first)] == "told"
        assert np.isnan(trials.responses[len(first)]).tolist() == [False, True]
        with pytest.raises(InvalidInput, match="milliseconds"):
            session.tell_trial(third.trials[0], [1.0, 1.0], onset=1.7e12)


@pytest.mark.parametrize("patience", [0.0, 1.0, 10.0, 300.0])
def test_a_silent_server_is_noticed_within_patience(patience):
    pings = Pings.of(patience)
    assert pings.seconds <= max(patience, 7.0)
    assert pings.every > 5.0  # more often, and the server takes it for an attack
    options = dict(pings.options)
    assert options["grpc.http2.max_pings_without_data"] == 0  # else there is one ping a minute after the first two
    assert options["grpc.http2.ping_timeout_ms"] == options["grpc.keepalive_timeout_ms"] <= 5000  # it is a minute else
    assert options["grpc.min_reconnect_backoff_ms"] <= 1000 * pings.seconds


def test_tell_gives_a_suspended_server_up_when_patience_is_over_and_goes_on_when_it_is_back(tmp_path):
    suspended = ServerProcess(tmp_path / "data")
    try:
        with Session.create(SPEC, suspended.address, patience=4.0) as session:
            generation = session.ask()
            assert generation is not None
            suspended.process.send_signal(signal.SIGSTOP)
            with pytest.raises(Unavailable):
                session.tell(rig(generation))
            suspended.process.send_signal(signal.SIGCONT)
        with Session(session.name, suspended.address) as again:
            assert again.ask() is not None
            assert again.shown is not None
            assert again.shown.number in (generation.number, generation.number + 1)  # the tell may still have reached it
    finally:
        suspended.kill()


def test_a_trial_is_marked_and_a_search_finished_from_the_script_and_beside_it(server):
    with Session.create(SPEC, server.address) as session:
        first = session.ask()
        assert first is not None
        session.tell(rig(first))
        session.mark_bad(first.trials[0])
        second = session.ask()
        assert second is not None
        assert actmax("session", "mark", session.name, str(first.trials[1]), "--server", server.address).returncode == 0
        assert actmax("session", "mark", session.name, str(first.trials[0]), "--undo", "--server", server.address).returncode == 0
        assert fetch_trials(session.name, server.address).bad.tolist()[:3] == [False, True, False]
        assert actmax("session", "mark", session.name, "999", "--server", server.address).returncode == 2
        assert actmax("session", "finish", session.name, "--server", server.address).returncode == 0
        run(session)
        assert session.described.stopped_by == "finished"
        assert session.described.recommendation.final
    with Session.create(SPEC, server.address) as session:
        assert session.ask() is not None
        assert actmax("session", "finish", session.name, "--at-once", "--server", server.address).returncode == 0
        run(session)  # what it shows until it hears of the end comes late
        assert session.ended
        assert set(fetch_trials(session.name, server.address).status) <= {"late", "missed"}
    with Session.create(SPEC, server.address) as session:
        session.finish(at_once=True)
        assert session.ask() is None


def test_a_second_client_is_in_the_way_and_may_take_over(server):
    with Session.create(SPEC, server.address) as session:
        session.ask()
        with Session(session.name, server.address, take_over=True) as other:
            generation = other.ask()
            assert generation is not None
            with pytest.raises(WrongState, match="another client has opened"):
                session.tell(np.zeros((len(generation), 2)))
            # the one that was ended stays out, it doesn't take the session back by itself
            with pytest.raises(WrongState, match="another client"):
                session.tell(np.zeros((len(generation), 2)))
            other.tell(rig(generation))


def test_what_is_wrong_with_a_spec_is_told_by_field(server):
    with pytest.raises(InvalidInput) as refused:
        Session.create(SPEC | {"generator": "toy_lab:decodr"}, server.address)
    assert [violation.field for violation in refused.value.violations] == ["spec.generator.name"]
    with pytest.raises(InvalidInput, match="unts"):
        Session.create({"unts": ["a"]}, server.address)
