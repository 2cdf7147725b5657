"""The experimenter takes a trial for bad, or has had enough: steps in the log like any other."""

from __future__ import annotations

import math

import pytest
from rigs import GIVEN, neuron, run, session, spec

from actmax.engine.session.checking import check_session
from actmax.engine.session.durable_session import DurableSession
from actmax.engine.session.errors import NotNow, Refused
from actmax.engine.session.trials import Kind, Status, TrialResponse

RANDOM = {"optimizer": {"name": "random"}, "stop": {"evaluations": 120}}


def test_no_figure_counts_a_bad_trial_until_the_mark_is_taken_back():
    one = session(**RANDOM)
    run(one)
    before = one.found()
    closing = [trial for trial in one.record.trials if trial.kind is Kind.REMEASURE and trial.generation >= one.threads[0].closing_from]
    highest = max(closing, key=lambda trial: trial.score)
    assert one.record.mark(highest.number, bad=True)
    assert not one.record.mark(highest.number, bad=True)
    found = one.found()
    assert found.measurements == before.measurements - 1
    assert found.response == pytest.approx((before.response * before.measurements - highest.score) / found.measurements)
    assert found.over_first is not None
    assert before.over_first is not None
    assert found.over_first.measurements == before.over_first.measurements - 1
    assert one.record.mark(highest.number, bad=False)
    assert repr(one.found()) == repr(before)
    with pytest.raises(Refused, match="no trial 9999"):
        one.record.mark(9999, bad=True)


def test_a_bad_trial_of_the_present_generation_is_a_missed_one_to_the_search_and_the_gain():
    found = []
    for bad in (True, False):
        one = session(**RANDOM)
        told = neuron(one)
        odd, reference = (next(t.number for t in one.record.current if t.kind is kind) for kind in (Kind.CANDIDATE, Kind.REFERENCE))
        for number in (odd, reference):
            if bad:
                one.record.tell([TrialResponse(number, (5000.0, 1.0))])
                one.record.mark(number, bad=True)
            else:
                one.record.tell([TrialResponse(number, missed=True)])
        one.record.tell([each for each in told if each.trial not in (odd, reference)])
        one.step()
        assert math.isnan(one.record.trials[odd - 1].score)
        assert not bad or one.record.trials[odd - 1].status is Status.TOLD
        run(one)
        found.append((repr(one.found()), [repr(trial.gain) for trial in one.record.trials]))
    assert found[0] == found[1]


@pytest.mark.parametrize("generations", [0, 3])
def test_a_search_that_is_finished_measures_its_leaders_again(generations):
    one = session(**RANDOM)
    run(one, generations)
    one.finish(at_once=False)
    run(one)
    assert one.stopped_by == "finished"
    assert one.evaluations < 120
    found = one.found()
    assert found.final
    assert found.measurements > 0
    with pytest.raises(NotNow, match="has ended"):
        one.finish(at_once=False)


def test_a_search_that_is_finished_at_once_ends_with_what_was_told():
    one = session(**RANDOM)
    run(one, 4)
    told = neuron(one)
    one.record.tell(told[:3])
    one.finish(at_once=True)
    assert one.complete
    one.step()
    assert one.stopped_by == "finished"
    assert not one.record.current
    assert not one.found().final
    assert math.isfinite(one.found().response)
    assert one.record.tell([told[5]]).late == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_marks_and_the_finish_are_in_the_log(tmp_path, at_once):
    kept = DurableSession.create(tmp_path / "x", check_session(spec(**RANDOM), given=GIVEN), {"id": "x"})
    for _ in range(3):
        kept.tell(neuron(kept.session))
        kept.step()
    assert kept.mark(2, bad=True)
    assert kept.mark(3, bad=True)
    assert kept.mark(3, bad=False)
    kept.finish(at_once=at_once)
    while not kept.session.stopped_by:
        if not kept.session.complete:
            kept.tell(neuron(kept.session))
        kept.step()
    kept.flush()
    kept.close()
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert again.session.stopped_by == "finished"
    assert repr(again.session.record.trials) == repr(kept.session.record.trials)
    assert [trial.number for trial in again.session.record.trials if trial.bad] == [2]
    assert repr(again.session.found()) == repr(kept.session.found())
    again.close()
