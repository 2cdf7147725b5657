"""A session is the search of a job, driven trial by trial."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rigs import GIVEN, neuron, run, session, spec

from actmax.engine.errors import InvalidJob
from actmax.engine.session.checking import check_session
from actmax.engine.session.errors import Conflict, NotNow, Refused
from actmax.engine.session.trials import Kind, Status, TrialResponse
from actmax.engine.spec import ComponentSpec

REFERENCES = {"rate": 0.2, "synthetic": 3}


def test_a_generation_has_what_the_design_says_in_an_order_of_the_seed():
    one = session(design={"generation_size": 24, "replicates": 2, "references": REFERENCES, "leaders": 2})
    run(one, 3)
    kinds = [trial.kind for trial in one.record.current]
    assert kinds.count(Kind.REFERENCE) == 5
    assert kinds.count(Kind.REMEASURE) == 2
    assert kinds.count(Kind.CANDIDATE) == kinds.count(Kind.REPLICATE) == 8
    for trial in one.record.current:
        if trial.kind is Kind.REPLICATE:
            shown = [other.kind for other in one.record.current if other.stimulus == trial.stimulus]
            assert sorted(shown)[:2] == [Kind.CANDIDATE, Kind.REPLICATE]
    assert kinds != sorted(kinds)
    assert [trial.number for trial in one.record.trials] == list(range(1, len(one.record.trials) + 1))
    references = {trial.stimulus for trial in one.record.trials if trial.kind is Kind.REFERENCE}
    assert references == {0, 1, 2}
    other = session(design={"generation_size": 24, "replicates": 2, "references": REFERENCES, "leaders": 2}, seed=6)
    assert [trial.kind for trial in other.record.current] != [trial.kind for trial in one.record.trials if trial.generation == 1]


def test_a_search_that_asks_few_at_a_time_has_few_references_beside():
    one = session(optimizer={"name": "xdream", "options": {"population": 4}}, design={"generation_size": 40, "references": REFERENCES})
    run(one, 40)
    kinds = [trial.kind for trial in one.record.trials if trial.generation <= 40]
    assert max(len([t for t in one.record.trials if t.generation == g]) for g in range(1, 41)) <= 7
    assert 0.1 < kinds.count(Kind.REFERENCE) / len(kinds) < 0.25
    assert kinds.count(Kind.REMEASURE) < 10


def test_references_that_drive_the_unit_are_shown_more_often_and_all_of_them_at_the_end():
    one = session(design={"generation_size": 20, "references": {"rate": 0.2, "synthetic": 6}}, stop={"evaluations": 300})
    while not one.stopped_by:
        drives = {
            trial.number: 9.0 if trial.stimulus in (0, 10) or trial.kind is not Kind.REFERENCE else 0.0 for trial in one.record.current
        }
        one.record.tell([TrialResponse(number, (drive, 1.0)) for number, drive in drives.items()])
        one.step()
    closing = one.threads[0].closing_from
    shown = [t.stimulus for t in one.record.trials if t.kind is Kind.REFERENCE and t.generation < closing]
    counts = [shown.count(stimulus) for stimulus in range(6)]
    assert min(counts) >= 2
    assert counts[0] > 3 * max(counts[1:])
    last = [t.stimulus for t in one.record.trials if t.kind is Kind.REFERENCE and t.generation >= closing]
    assert max(last.count(stimulus) for stimulus in range(6)) - min(last.count(stimulus) for stimulus in range(6)) <= 1


def test_the_same_responses_lead_to_the_same_bits():
    one, other = session(), session()
    assert run(one) == run(other)
    assert torch.equal(one.stimuli.latents(), other.stimuli.latents())  # type: ignore[arg-type]


def test_a_state_goes_on_with_the_same_bits(tmp_path):
    from actmax.engine import checkpoint

    one = session()
    run(one, 4)
    state = {}
    one.record.tell(neuron(one))
    one.step(lambda: state.update(one.state_dict()))
    checkpoint.save(tmp_path / "state", state)
    other = session()
    other.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert [(t.number, t.stimulus, t.kind) for t in other.record.current] == [(t.number, t.stimulus, t.kind) for t in one.record.current]
    assert torch.equal(one.screen.present(), other.screen.present())
    assert run(one) == run(other)
    assert repr(one.found()) == repr(other.found())


def test_the_answer_is_measured_afresh_beside_references_and_the_first_generation():
    one = session()
    run(one)
    found = one.found()
    last = [trial for trial in one.record.trials if trial.generation >= one.threads[0].closing_from]
    mine = [trial.score for trial in last if trial.kind is Kind.REMEASURE]
    assert one.threads[0].closing_from < one.record.generation  # more than one generation has room for
    assert found.final
    assert found.response == pytest.approx(np.mean(mine))
    assert found.measurements == len(mine)
    assert {trial.kind for trial in last} == {Kind.REMEASURE, Kind.REFERENCE, Kind.CONTROL}
    first = {trial.stimulus for trial in one.record.trials if trial.generation == 1}
    assert {trial.stimulus for trial in last if trial.kind is Kind.CONTROL} <= first
    assert found.over_first is not None
    assert found.over_references is not None
    assert found.over_first.p_value < 0.05
    assert found.over_first.low > 0
    assert one.evaluations == 200


def test_missed_trials_and_partial_generations_reach_the_search_as_missed():
    one = session()
    told = neuron(one)
    one.record.tell([TrialResponse(told[0].trial, missed=True), *told[1:10]])
    assert not one.complete
    assert one.record.advance(1)
    assert one.complete
    one.step()
    assert one.record.generation == 2
    assert one.record.counts[Status.MISSED] == len(told) - 9
    assert sum(math.isnan(score) for score in one.threads[0].search.scores) > 0
    assert not one.record.advance(1)
    with pytest.raises(NotNow, match="generation 3 has not begun"):
        one.record.advance(3)
    # what was skipped may still come, and is kept beside the experiment
    receipt = one.record.tell([told[15]])
    assert (receipt.late, receipt.new) == (1, True)
    assert one.record.trials[told[15].trial - 1].responses == told[15].responses
    with pytest.raises(Conflict):
        one.record.tell([TrialResponse(told[0].trial, (1.0, 1.0))])


@pytest.mark.parametrize(
    ("told", "reason", "field"),
    [
        (TrialResponse(99, (1.0, 1.0)), "UNKNOWN_TRIAL", "trials[1].trial"),
        (TrialResponse(0, (1.0, 1.0)), "UNKNOWN_TRIAL", "trials[1].trial"),
        (TrialResponse(2, (1.0,)), "WRONG_SHAPE", "trials[1].responses"),
        (TrialResponse(2, (1.0, 1.0, 1.0)), "WRONG_SHAPE", "trials[1].responses"),
        (TrialResponse(2, (1.0, 1.0), missed=True), "WRONG_SHAPE", "trials[1].responses"),
        (TrialResponse(2, (math.nan, math.nan)), "NOT_FINITE", "trials[1].responses"),
        (TrialResponse(2, (1e31, 1.0)), "TOO_LARGE", "trials[1].responses[0]"),
        (TrialResponse(2, (1.0, 1.0), onset=1.7e12), "CLOCK_JUMP", "trials[1].onset"),
        (TrialResponse(2, (1.0, 1.0), offset=-math.inf), "CLOCK_JUMP", "trials[1].offset"),
        (TrialResponse(2, (math.inf, 1.0)), "NOT_FINITE", "trials[1].responses[0]"),
        (TrialResponse(2, (-1.0, 1.0)), "NEGATIVE_RESPONSE", "trials[1].responses[0]"),
        (TrialResponse(2, (1.5, 1.0)), "NOT_A_COUNT", "trials[1].responses[0]"),
        (TrialResponse(2, (1.0, 1.0), onset=3.0, offset=2.0), "CLOCK_BACKWARDS", "trials[1].offset"),
        (TrialResponse(1, (7.0, 1.0)), "CONFLICTING_TELL", "trials[1]"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_nothing_is_taken(told, reason, field):
    one = session()
    with pytest.raises(Refused) as refused:
        one.record.tell([TrialResponse(1, (2.0, 1.0)), told])
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert one.record.counts[Status.TOLD] == 0
    one.record.tell([TrialResponse(1, (2.0, 1.0))])
    one.record.tell([TrialResponse(1, (2.0, 1.0))])
    assert one.record.counts[Status.TOLD] == 1


def test_a_clock_that_goes_back_behind_an_earlier_generation_is_refused():
    one = session()
    one.record.tell([TrialResponse(each.trial, each.responses, onset=10.0 + each.trial) for each in neuron(one)])
    one.step()
    with pytest.raises(Refused, match="earlier generation"):
        one.record.tell([TrialResponse(one.record.current[0].number, (1.0, 1.0), onset=5.0)])


def test_another_objective_learns_from_all_trials_scored_anew():
    one = session(stop={"evaluations": 400})
    run(one, 5)
    one.change(None, "b")
    before = one.evaluations
    one.record.tell(neuron(one))
    asked = sum(trial.row >= 0 for trial in one.record.current)
    one.step()
    assert one.threads[0].aim.unit == "b"
    assert one.evaluations == before + asked
    assert one.threads[0].search.overheard > 50
    for trial in one.record.trials:
        if trial.status is Status.TOLD and trial.generation == 1:
            assert trial.score == pytest.approx(trial.responses[1])
    run(one)
    assert one.evaluations == 400
    with pytest.raises(NotNow):
        one.change(None, "a")
    with pytest.raises(InvalidJob):
        session().change(None, "c")


def test_objectives_over_several_units():
    joint = {"name": "joint", "options": {"terms": [{"unit": "b", "weight": -2.0}]}}
    one = session(objective=joint, design={"generation_size": 20, "references": {"rate": 0.0}})
    one.record.tell([TrialResponse(trial.number, (5.0, 1.0)) for trial in one.record.current])
    one.step()
    assert one.record.trials[0].score == 3.0
    mean = session(unit="population", design={"generation_size": 20, "references": {"rate": 0.0}})
    mean.record.tell([TrialResponse(trial.number, (5.0, 1.0)) for trial in mean.record.current])
    mean.step()
    assert mean.record.trials[0].score == 3.0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"optimizer": {"name": "adam"}}, "optimizer"),
        ({"unit": "c"}, "unit"),
        ({"objective": {"name": "unti"}}, "objective.name"),
        ({"objective": {"name": "diversity"}}, "objective"),
        ({"generator": {"name": "fourier"}}, "stimulus"),
        ({"units": [{"name": "a", "kind": "signed"}], "design": {"normalise": True}}, "design.normalise"),
        ({"design": {"generation_size": 4, "leaders": 4}}, "design.generation_size"),
        ({"design": {"references": {"stimuli": {"dtype": "uint8", "shape": [1, 2], "data": "AAA="}}}}, "design.references.stimuli"),
    ],
)
def test_what_can_not_work_is_refused_before_the_first_trial(changes, field):
    with pytest.raises(InvalidJob) as refused:
        check_session(spec(**changes), given=GIVEN)
    assert field in [violation.field for violation in refused.value.violations] or any(
        violation.field.startswith(field) for violation in refused.value.violations
    )


def test_a_tensor_must_have_the_bytes_of_its_shape():
    with pytest.raises(InvalidJob, match="takes 12 bytes, data has 4"):
        spec(design={"references": {"stimuli": {"dtype": "float32", "shape": [3], "data": "AAAAAA=="}}})


def test_pictures_of_ones_own_are_references():
    import base64

    pictures = np.linspace(0, 1, 2 * 3 * 6 * 6, dtype="<f4").reshape(2, 3, 6, 6)
    stimuli = {"dtype": "float32", "shape": [2, 3, 6, 6], "data": base64.b64encode(pictures.tobytes()).decode()}
    one = session(design={"generation_size": 20, "references": {"rate": 0.2, "stimuli": stimuli}})
    shown = one.screen.present()
    for row, trial in enumerate(one.record.current):
        if trial.kind is Kind.REFERENCE:
            assert torch.equal(shown[row], torch.from_numpy(pictures[trial.stimulus]))
    run(one)
    assert one.found().over_references is not None


def test_the_generation_is_as_large_as_asked_whichever_search_auto_takes():
    for generator, optimizer in (("decoder", "auto"), ("decoder", "sphere-cma"), ("decoder", "xdream"), ("codes", "patch-evolution")):
        one = session(generator={"name": generator}, optimizer={"name": optimizer}, design={"generation_size": 16})
        run(one, 2)
        assert len(one.record.current) == 16, (optimizer, one.threads[0].note)
    assert ComponentSpec(name="x").options == {}
