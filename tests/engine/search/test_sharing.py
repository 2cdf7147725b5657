import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from actmax.engine.build import check
from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.forward_result import ForwardResult
from actmax.engine.evaluation.loop import Loop
from actmax.engine.run import execute, searches_of
from actmax.engine.search.sharing import MOST_OVERHEARD, EvaluationSharing
from jobs import ALLOWED, job, run_with_stops

LISTENER = {"name": "toy_lab:Eavesdropper", "options": {"batch": 15}}


def prepared(**changes):
    changes = {"optimizer": LISTENER, "units": ["4[0]", "4[2]", "4[3]"], "prior": "none", **changes}
    checked = check(job(**changes), allow_imports=ALLOWED)
    return checked, searches_of(checked)


def heard(search):
    told = search.optimizer.heard
    if not told:
        return torch.empty(0), torch.empty(0)
    return torch.cat([one.latents for one in told]), torch.cat([one.scores for one in told])


@pytest.mark.parametrize("generator", ["toy_lab:decoder", "toy_lab:codes"])
def test_what_is_overheard_is_what_the_others_were_shown_scored_for_oneself(generator):
    checked, searches = prepared(generator={"name": generator})
    shown = {search: [] for search in searches}
    loop = Loop(EvaluationSetup(checked.generator, checked.target, max_batch=7), searches)  # passes that hold parts of several searches
    for search in searches:
        ask = search.optimizer.ask
        search.optimizer.ask = lambda ask=ask, search=search: shown[search].append(ask()) or shown[search][-1]
    loop.run()
    for search in searches:
        latents, scores = heard(search)
        others = [torch.cat([round_[other] for other in searches if other is not search]) for round_ in _rounds(shown, searches)]
        assert torch.equal(latents, torch.cat(others))
        assert search.overheard == len(latents) == 120
        assert search.evaluations == search.scores.size == 60
        responses = checked.target.respond(checked.generator(latents), search.objective.layers)
        assert torch.allclose(search.objective(responses).double(), scores, atol=1e-5)


def _rounds(shown, searches):
    return [{search: shown[search][number] for search in searches} for number in range(len(shown[searches[0]]))]


def test_nothing_is_shown_twice_and_the_recommendation_may_be_anothers(monkeypatch):
    checked, searches = prepared()
    counted = []
    respond = type(checked.target).respond
    monkeypatch.setattr(type(checked.target), "respond", lambda self, x, layers: counted.append(len(x)) or respond(self, x, layers))
    result = execute(checked, searches)
    assert sum(counted) == 3 * 60 + 3
    for found, search in zip(result.searches, searches, strict=True):
        _, scores = heard(search)
        assert found.overheard == 120
        most = max(float(scores.max()), float(np.nanmax(found.scores)))
        assert found.response == pytest.approx(most, abs=1e-5)
    # of three units that see 180 candidates each, some best one is another's
    assert any(float(heard(search)[1].max()) > np.nanmax(search.scores) for search in searches)


def test_optimizers_under_comparison_do_not_hear_each_other_and_sharing_can_be_off():
    _, searches = prepared(units=["4[0]"], baselines=[LISTENER])
    execute(_, searches)
    assert [search.optimizer_label for search in searches] == ["toy_lab:Eavesdropper 1", "toy_lab:Eavesdropper 2"]
    assert all(search.overheard == 0 and not len(heard(search)[0]) for search in searches)
    checked, searches = prepared(sharing=False)
    assert all(found.overheard == 0 for found in execute(checked, searches).searches)


def test_the_same_evaluations_with_and_without_sharing_where_nobody_acts_on_it():
    with_, without = (execute(*prepared(sharing=sharing)).searches for sharing in (True, False))
    for one, other in zip(with_, without, strict=True):
        assert np.allclose(one.scores, other.scores, atol=1e-6)
        assert one.response >= other.response - 1e-6


def test_missed_trials_are_not_overheard():
    _, searches = prepared(target={"name": "toy_lab:query_only"}, units=["answer[*]"], budget={"evaluations": 100})
    execute(_, searches)
    for search, other in (searches, searches[::-1]):
        assert 0 < search.overheard == int(np.isfinite(other.scores).sum()) < 100


def test_a_resumed_job_overhears_the_same(tmp_path):
    spec = job(optimizer=LISTENER, units=["4[0]", "4[2]", "4[3]"], generator={"name": "toy_lab:codes"}, budget={"evaluations": 130})
    whole = execute(check(spec, allow_imports=ALLOWED), searches_of(check(spec, allow_imports=ALLOWED)))
    resumed, stops = run_with_stops(spec, tmp_path, 2)
    assert stops >= 2
    for one, other in zip(whole.searches, resumed.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.latent, other.latent)
        assert (one.response, one.overheard) == (other.response, other.overheard)


def test_mixed_codes_are_nobodys_stimulus_and_one_hot_weights_are_codes():
    checked, (first, second, _) = prepared(generator={"name": "toy_lab:codes"})
    codes = checked.generator.latent.sample(4, torch.Generator().manual_seed(0))
    weights = one_hot(codes, 7).float()
    weights[1] = 1 / 7
    exchange = EvaluationSharing([first, second])
    shown = ForwardResult(checked.target.respond(checked.generator(weights), {"4"}), {})
    exchange.add([first], [weights], {second: shown.scores(second.objective).detach().double()})
    exchange.tell()
    latents, _ = heard(second)
    assert torch.equal(latents, codes[[0, 2, 3]])
    assert not len(heard(first)[0])


def test_of_very_many_candidates_the_best_are_told():
    checked, (first, second, _) = prepared()
    latents = checked.generator.latent.sample(MOST_OVERHEARD + 50, torch.Generator().manual_seed(0))
    responses = checked.target.respond(checked.generator(latents), {"4"})
    exchange = EvaluationSharing([first, second])
    exchange.add([first], [latents], {second: ForwardResult(responses, {}).scores(second.objective).detach().double()})
    exchange.tell()
    told, scores = heard(second)
    ranked = responses["4"][:, 2].detach().double().sort(descending=True).values
    assert len(told) == MOST_OVERHEARD
    assert float(scores.min()) == pytest.approx(float(ranked[MOST_OVERHEARD - 1]))
