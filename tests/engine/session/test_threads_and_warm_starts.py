"""Several searches in one session, and sessions that start from earlier ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rigs import GIVEN, neuron, run, session, spec

from actmax.engine.errors import InvalidJob
from actmax.engine.session.checking import check_session
from actmax.engine.session.durable_session import DurableSession
from actmax.engine.session.errors import NotNow, Refused
from actmax.engine.session.findings import best_latents, packed
from actmax.engine.session.trials import SHARED, Kind, TrialResponse

RIVALS = [{"name": "genetic", "optimizer": {"name": "xdream"}, "share": 2.0}, {"name": "random", "optimizer": {"name": "random"}}]
UNITS = [{"name": "of-a", "unit": "a"}, {"name": "of-b", "unit": "b", "optimizer": {"name": "cma"}}]


def test_threads_share_generations_evaluations_and_references():
    one = session(threads=RIVALS, stop={"evaluations": 300}, design={"generation_size": 32, "leaders": 1, "references": {"rate": 0.1}})
    run(one, 3)
    shown = {number: [t for t in one.record.current if t.thread == number] for number in (0, 1, SHARED)}
    assert [len(trials) for trials in shown.values()] == [19, 10, 3]
    assert {trial.kind for trial in shown[SHARED]} == {Kind.REFERENCE}
    for number in (0, 1):
        assert [trial.kind for trial in shown[number]].count(Kind.REMEASURE) == 1
    order = [trial.thread for trial in one.record.current]
    assert order != sorted(order)
    run(one)
    assert [thread.evaluations for thread in one.threads] == [200, 100]
    assert all(len([t for t in one.record.trials if t.generation == g]) <= 32 for g in range(1, one.record.generation + 1))


def test_each_thread_has_its_own_answer_compared_side_by_side():
    one = session(threads=RIVALS, stop={"evaluations": 400})
    run(one)
    found = [one.found(number) for number in range(2)]
    for number, each in enumerate(found):
        thread = one.threads[number]
        assert thread.recommended is not None
        winner = one.stimuli.number(thread.recommended)
        mine = [t.score for t in one.record.trials if t.generation >= thread.closing_from and t.thread == number and t.stimulus == winner]
        assert each.final
        assert each.response == pytest.approx(np.mean(mine))
        assert each.over_first is not None
        assert each.over_references is not None
    assert found[0].over_threads["random"].difference == pytest.approx(-found[1].over_threads["genetic"].difference)
    assert one.threads[0].closing_from == one.threads[1].closing_from  # so that they meet in the same generations


def test_threads_after_different_units_score_shared_trials_each_by_its_own():
    one = session(threads=UNITS, design={"generation_size": 24, "references": {"rate": 0.2}, "normalise": False})
    one.record.tell([TrialResponse(trial.number, (5.0, 2.0)) for trial in one.record.current])
    one.step()
    for trial in one.record.trials:
        if trial.generation == 1:
            assert [trial.score_for(0), trial.score_for(1)] == pytest.approx(
                {0: [5.0, np.nan], 1: [np.nan, 2.0], SHARED: [5.0, 2.0]}[trial.thread], nan_ok=True
            )
    run(one)
    assert one.found(1).over_threads == {}
    assert one.found(1).response < 5.0


def test_a_session_of_threads_goes_on_with_the_same_bits(tmp_path):
    from actmax.engine import checkpoint

    one = session(threads=RIVALS, stop={"evaluations": 240})
    run(one, 4)
    state = {}
    one.record.tell(neuron(one))
    one.step(lambda: state.update(one.state_dict()))
    checkpoint.save(tmp_path / "state", state)
    other = session(threads=RIVALS, stop={"evaluations": 240})
    other.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert run(one) == run(other)
    for number in range(2):
        assert repr(one.found(number)) == repr(other.found(number))


def test_a_thread_changes_its_objective_alone():
    one = session(threads=RIVALS, stop={"evaluations": 400})
    run(one, 3)
    with pytest.raises(Refused, match="there is no thread ''; there are genetic, random"):
        one.change(None, "b")
    one.change(None, "b", "random")
    run(one, 1)
    assert [thread.aim.unit for thread in one.threads] == ["a", "b"]
    assert one.threads[1].search.overheard or len(one.threads[1].search.leaders)
    references = [trial for trial in one.record.trials if trial.generation == 1 and trial.thread == SHARED]
    assert all(trial.scores[1] == trial.responses[1] / trial.gain or trial.gain != 1 for trial in references)
    run(one)
    with pytest.raises(NotNow):
        one.change(None, "a", "random")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"threads": [RIVALS[0], RIVALS[0]]}, ""),
        ({"threads": [RIVALS[0], {"name": "x", "optimizer": {"name": "adam"}}]}, "threads[1].optimizer"),
        ({"threads": [RIVALS[0], {"name": "x", "unit": "c"}]}, "threads[1].unit"),
        ({"threads": [{"name": "x", "share": 0.0}]}, "threads[0].share"),
        ({"threads": RIVALS, "design": {"generation_size": 4}}, "design.generation_size"),
        ({"threads": [{"name": "much", "share": 1000.0}, {"name": "little"}], "stop": {"evaluations": 300}}, "design.generation_size"),
        ({"warm_start": {"sessions": ["sessions/0"]}}, "warm_start"),
        ({"warm_start": {}}, "warm_start"),
        ({"warm_start": {"latents": {"dtype": "float32", "shape": [1, 2], "data": "AAAAAAAAAAA="}}}, "warm_start.latents"),
        ({"warm_start": {"latents": {"dtype": "int64", "shape": [1, 1], "data": "AAAAAAAAAAA="}}}, "warm_start.latents"),
    ],
)
def test_what_can_not_work_is_refused_by_field(changes, field):
    with pytest.raises(InvalidJob) as refused:
        check_session(spec(**changes), given=GIVEN)
    assert field in [violation.field for violation in refused.value.violations], refused.value.violations


@pytest.mark.parametrize(("generator", "optimizer"), [("decoder", "auto"), ("decoder", "xdream"), ("codes", "auto"), ("decoder", "cma")])
def test_a_warm_start_shows_first_what_earlier_sessions_have_found(generator, optimizer):
    earlier = session(generator={"name": generator})
    run(earlier)
    best = best_latents(earlier.threads, 4)
    recommended = earlier.threads[0].recommended
    assert recommended is not None
    assert torch.equal(best[0], recommended)
    assert len(best) == 4
    design = {"generation_size": 20, "references": {"rate": 0.0}, "leaders": 0}
    one = session(generator={"name": generator}, optimizer={"name": optimizer}, warm_start={"latents": packed(best)}, design=design, seed=9)
    shown = [one.stimuli.latent(trial.stimulus) for trial in one.record.current if trial.row in range(4)]
    assert all(any(other is not None and torch.equal(latent, other) for other in shown) for latent in best)
    run(one)
    controls = {trial.stimulus for trial in one.record.trials if trial.kind is Kind.CONTROL}
    assert controls.isdisjoint(one.stimuli.numbers(torch.stack(best)))  # they are no first generation


def test_a_warm_session_needs_no_earlier_one_to_be_opened_again(tmp_path):
    earlier = session()
    run(earlier)
    given = spec(warm_start={"latents": packed(best_latents(earlier.threads, 8))}, seed=9)
    kept = DurableSession.create(tmp_path / "x", check_session(given, given=GIVEN), {"id": "x"})
    shown = [trial.stimulus for trial in kept.session.record.current]
    decoded = kept.session.screen.present()
    kept.close()
    again = DurableSession(tmp_path / "x", given=GIVEN)
    assert [trial.stimulus for trial in again.session.record.current] == shown
    assert torch.equal(again.session.screen.present(), decoded)
