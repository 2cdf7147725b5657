"""One odd response ends no session: it is refused by name, or harmless for ever after."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs import GIVEN, neuron, run, session, spec

from actmax.engine import checkpoint
from actmax.engine.errors import InvalidJob
from actmax.engine.session.checking import check_session
from actmax.engine.session.durable_session import DurableSession
from actmax.engine.session.errors import NotNow, Refused
from actmax.engine.session.evidence import Block, compare
from actmax.engine.session.session import Session
from actmax.engine.session.trials import Kind, TrialResponse

SECOND = 1_000_000
RATES = [{"name": "a", "kind": "rate"}, {"name": "b", "kind": "rate"}]
ODD = [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e300, float(2**63 - 1), float(-(2**63)), 1.7e12, 1e6]


def tell(one: Session, start: float, time: int = 0, *, onset: float | None = None) -> None:
    """Answer the present generation on a clock that shows ``start`` at first, its first trial at ``onset``."""
    answers = [TrialResponse(each.trial, each.responses, onset=start + at) for at, each in enumerate(neuron(one))]
    one.record.tell([TrialResponse(answers[0].trial, answers[0].responses, onset=start if onset is None else onset), *answers[1:]], time)
    one.step()


def test_an_onset_in_microseconds_is_refused_at_once_and_the_honest_ones_after_it_are_taken():
    one = session()
    tell(one, 10.0)
    with pytest.raises(Refused, match="declare it restarted") as refused:
        tell(one, 60.0, 50 * SECOND, onset=60e6)
    assert (refused.value.reason, refused.value.field) == ("CLOCK_JUMP", "trials[0].onset")
    tell(one, 60.0, 50 * SECOND)
    tell(one, 60.0 + 3 * 86400, (60 + 3 * 86400) * SECOND)  # a long weekend is no jump


def test_a_wrong_first_onset_is_outlived_by_a_restart_of_the_clock(tmp_path):
    one = session()
    first = neuron(one)
    one.record.tell([TrialResponse(first[0].trial, first[0].responses, onset=4e6)])
    honest = [TrialResponse(each.trial, each.responses, onset=3.0 + at) for at, each in enumerate(first[1:])]
    with pytest.raises(Refused):
        one.record.tell(honest)
    assert one.record.restart_clock(2)
    assert not one.record.restart_clock(2)
    with pytest.raises(NotNow):
        one.record.restart_clock(4)
    one.record.tell(honest)
    state = {}
    one.step(lambda: state.update(one.state_dict()))
    assert [trial.clock for trial in one.record.trials if trial.generation == 1] == [1, *[2] * len(honest)]
    assert one.record.latest_onset == honest[-1].onset
    checkpoint.save(tmp_path / "state", state)
    other = session()
    other.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert (other.record.clock, other.record.latest_onset) == (2, honest[-1].onset)
    assert [trial.clock for trial in other.record.trials] == [trial.clock for trial in one.record.trials]
    with pytest.raises(Refused, match="restarted"):
        tell(other, 1.0)


def test_a_restart_of_the_clock_and_silent_units_are_in_the_log(tmp_path):
    kept = DurableSession.create(tmp_path / "x", check_session(spec(), given=GIVEN), {"id": "x"})
    first = neuron(kept.session)
    kept.tell([TrialResponse(first[0].trial, (3.0, math.nan), onset=50.0)])
    assert kept.restart_clock(2)
    kept.tell([TrialResponse(each.trial, (math.nan, 1.0), onset=1.0 + at) for at, each in enumerate(first[1:])])
    kept.step()
    kept.flush()
    kept.close()
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert repr(again.session.record.trials) == repr(kept.session.record.trials)
    assert not again.tell([TrialResponse(first[1].trial, (math.nan, 1.0), onset=1.0)]).new
    again.close()


def refusal(one: Session, told: TrialResponse) -> Refused | None:
    try:
        one.record.tell([told])
    except Refused as error:
        return error
    return None


@given(value=st.sampled_from(ODD), field=st.sampled_from(["onset", "offset", "a", "b"]))
@settings(max_examples=25, deadline=None)
def test_any_number_is_refused_by_its_field_or_harmless_for_ever_after(value, field):
    one = session(units=RATES, optimizer={"name": "sphere-cma"}, stop={"evaluations": 30})
    tell(one, 10.0)
    trials = one.record.current
    odd = {"onset": 30.0, "offset": 31.0, "a": 2.0, "b": 1.0} | {field: value}
    told = TrialResponse(trials[0].number, (odd["a"], odd["b"]), onset=odd["onset"], offset=odd["offset"])
    refused = refusal(one, told)
    if refused is not None:
        assert refused.field.startswith("trials[0].")
        one.record.tell([TrialResponse(trials[0].number, (2.0, 1.0), onset=30.0, offset=31.0)])
    for at, trial in enumerate(trials[1:]):
        one.record.tell([TrialResponse(trial.number, (3.0, 1.0), onset=32.0 + at)])
    one.step()
    start = 1000.0
    while not one.stopped_by:
        tell(one, start)
        start += 100.0
    assert math.isfinite(one.found().response)


@pytest.mark.parametrize("name", ["sphere-cma", "thompson", "xdream", "cma", "nevergrad", "patch-evolution"])
def test_the_largest_response_that_is_taken_stops_no_search(name):
    one = session(units=RATES, optimizer={"name": name}, stop={"evaluations": 50})
    while not one.stopped_by:
        told = neuron(one)
        huge = one.record.generation == 2
        one.record.tell([TrialResponse(each.trial, (1e30, 1e30) if huge and at < 3 else each.responses) for at, each in enumerate(told)])
        one.step()
    assert math.isfinite(one.found().response)


@pytest.mark.parametrize("unit", [2.0**-50, 2.0**50], ids=["1e-15", "1e15"])
def test_the_unit_of_a_response_changes_no_statistic(unit):
    found = []
    for factor in (1.0, unit):
        one = session(units=RATES, optimizer={"name": "random"}, stop={"evaluations": 80})
        while not one.stopped_by:
            answers = [TrialResponse(each.trial, tuple(factor * (value + 0.5) for value in each.responses)) for each in neuron(one)]
            one.record.tell(answers)
            one.step()
        found.append(one.found())
        gains = [trial.gain for trial in one.record.trials]
        found.append(np.array(gains))
    plain, gains, scaled, other_gains = found
    assert gains == pytest.approx(other_gains, rel=1e-6)
    for one, other in ((plain.over_references, scaled.over_references), (plain.over_first, scaled.over_first)):
        assert one.p_value == pytest.approx(other.p_value, abs=1e-9)
        assert [one.difference, one.low, one.high] == pytest.approx([value / unit for value in (other.difference, other.low, other.high)])
    assert plain.response == pytest.approx(scaled.response / unit)


@given(st.floats(-15, 15), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_p_value_has_no_unit(exponent, seed):
    draws = np.random.default_rng(seed)
    sides = [draws.poisson(mean, 6).astype(np.float64) for mean in (4, 2)]
    plain, other = (compare([Block(*(np.float64(factor) * side for side in sides))], 1) for factor in (1.0, 10.0**exponent))
    assert plain is not None
    assert other is not None
    assert plain.p_value == other.p_value


def test_a_dead_electrode_costs_neither_the_trial_nor_the_search():
    units = ["a", "b", "c"]
    one = session(units=[{"name": name} for name in units], unit="population", optimizer={"name": "random"}, stop={"evaluations": 60})
    while not one.stopped_by:
        dead = one.record.generation > 1
        told = [TrialResponse(each.trial, (*each.responses[:2], math.nan if dead or at else 6.0)) for at, each in enumerate(neuron(one))]
        one.record.tell(told)
        one.step()
    first = next(trial for trial in one.record.trials if trial.generation == 1 and math.isfinite(trial.responses[2]))
    assert first.score == pytest.approx(sum(first.responses) / 3)
    other = next(trial for trial in one.record.trials if trial.generation == 1 and not math.isfinite(trial.responses[2]))
    assert other.score == pytest.approx((sum(other.responses[:2]) + 6.0) / 3)  # the unit's mean so far
    assert all(math.isfinite(trial.score) for trial in one.record.trials)
    assert one.found().over_references is not None


def test_a_unit_that_is_sought_alone_is_missed_where_it_did_not_answer():
    threads = [{"name": "one", "unit": "a"}, {"name": "other", "unit": "b"}]
    one = session(threads=threads, optimizer={"name": "random"}, stop={"evaluations": 60})
    one.record.tell([TrialResponse(each.trial, (math.nan, each.responses[1])) for each in neuron(one)])
    trials = one.record.current
    one.step()
    assert all(math.isnan(trial.score) for trial in trials if trial.thread == 0)
    assert all(math.isfinite(trial.score) for trial in trials if trial.thread == 1)
    run(one)
    assert all(math.isfinite(one.found(thread).response) for thread in (0, 1))


@pytest.mark.parametrize("direction", ["up", "down"])
def test_no_interval_of_counts_goes_below_none(direction):
    one = session(objective={"name": "unit", "options": {"direction": direction}}, stop={"evaluations": 60})
    while not one.stopped_by:
        closing = {trial.number for trial in one.record.current if trial.kind is Kind.REMEASURE}
        one.record.tell([TrialResponse(t.number, (9.0 * (t.number in closing and t.number % 5 == 0), 1.0)) for t in one.record.current])
        one.step()
    found = one.found()
    assert found.measurements > 3
    low, high = (found.low, found.high) if direction == "up" else (-found.high, -found.low)
    assert low == 0.0
    assert high > 0.0


def test_too_few_evaluations_to_measure_anything_again_are_refused_but_for_sessions_that_exist():
    few = spec(stop={"evaluations": 3}, design={"generation_size": 12})
    with pytest.raises(InvalidJob, match="5 are the fewest"):
        check_session(few, given=GIVEN)
    one = Session(check_session(few, given=GIVEN, created=False))
    run(one)
    assert one.found().measurements == 0
    least = session(stop={"evaluations": 5}, design={"generation_size": 12})
    run(least)
    assert math.isfinite(least.found().response)
