"""Objectives and transformations in jobs: refused where they can't be, scored as they say, and resumed to the bit."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.evaluation.evaluator import EvaluationSetup
from actmax.engine.evaluation.loop import Loop
from actmax.engine.maximize import maximize
from actmax.engine.run import execute, searches_of
from actmax.engine.spec import JobSpec
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.objectives.expressions import Diversity, Joint, Layer, LogProbability, TotalVariation, Unit
from actmax.models.objectives.objective import LATENT, STIMULUS
from actmax.models.objectives.unit import UnitObjective
from actmax.models.spaces import Box
from jobs import ALLOWED, job, run_with_stops
from toy_lab import SIZE, network, query_only

SUM = (Unit() - 0.3 * TotalVariation() + 0.1 * Layer("1")).spec()
WILD = {"steps": [{"name": "shift", "options": {"most": 2}}, {"name": "noise", "options": {"std": 0.2}}], "samples": 3}


def searched(spec):
    checked = check(spec, allow_imports=ALLOWED)
    return checked, execute(checked, searches_of(checked))


def terms(*objectives):
    return {"name": "sum", "options": {"terms": [{"objective": objective} for objective in objectives]}}


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"objective": terms("unit", {"name": "unit", "options": {"unit": "5[0]"}})}, "terms[1].objective.options.unit", "no layer '5'"),
        ({"objective": terms("unit", "totl-variation")}, "terms[1].objective.name", "did you mean total-variation"),
        ({"objective": terms({"name": "l1", "options": {"off": "stimulus"}})}, "terms[0].objective.options.off", "did you mean of"),
        ({"objective": terms(terms("unit", "style"))}, "terms[0].objective.options.terms[1].objective.options.image", "required"),
        ({"objective": terms({"name": "joint", "options": {"terms": [{"unit": "4[7]"}]}})}, "terms[0].unit", "0 … 3"),
        ({"objective": {"name": "sum", "options": {"terms": []}}}, "objective.options.terms", "at least 1"),
        ({"objective": {"name": "sum", "options": {"terms": [{"objective": "unit", "weight": "much"}]}}}, "terms[0].weight", "number"),
        ({"objective": {"name": "joint", "options": {"terms": [{"unit": "4[0]"}, {"unit": "3[99]"}]}}}, "terms[1].unit", "0 … 7"),
        ({"objective": {"name": "margin"}, "units": ["4[0]", "0[1]"]}, "units", "is no class"),
        ({"objective": {"name": "margin", "options": {"unit": "0[1]"}}}, "objective.options.unit", "is no class"),
        ({"objective": {"name": "boundary"}}, "objective.options.other", "required"),
        ({"objective": {"name": "activations", "options": {"image": "secret.png"}}}, "objective.options.image", "may not read files"),
        ({"objective": {"name": "cosine", "options": {"file": "secret.npy"}}}, "objective.options.file", "may not read files"),
        ({"objective": {"name": "spikes"}}, "objective.options.layers", "no layer whose response is a spike count"),
        (
            {"objective": terms("code-prior"), "generator": {"name": "toy_lab:decoder", "options": {"bank": 0}}, "prior": "none"},
            "measure",
            "no",
        ),
        ({"objective": {"name": "diversity"}, "units": ["0"], "design": {"replicates": 2}}, "design.replicates", "show each once"),
        ({"objective": terms("unit", "diversity"), "design": {"noisy": True}}, "design.remeasure", "set 0"),
        ({"transformations": {}}, "transformations", "at least one"),
        ({"transformations": {"steps": []}}, "transformations", "at least one"),
        ({"transformations": {"preset": "lucid", "steps": [{"name": "roll"}]}}, "transformations", "a preset, or steps"),
        ({"transformations": {"preset": "lucit"}}, "transformations.preset", "did you mean lucid"),
        ({"transformations": {"steps": [{"name": "roll"}, {"name": "rol"}]}}, "transformations.steps[1].name", "did you mean roll"),
        (
            {"transformations": {"steps": [{"name": "crop", "options": {"size": [0.25, 0.2]}}]}},
            "transformations.steps[0].options.size",
            "above",
        ),
        (
            {"transformations": {"steps": [{"name": "jitter", "options": {"pixels": 6}}]}},
            "transformations.steps[0].options.pixels",
            "nothing",
        ),
        ({"transformations": {"preset": "lucid", "samples": 0}}, "transformations.samples", "1"),
        ({"transformations": {"preset": "lucid", "draws": 3}}, "transformations.draws", "no such field"),
    ],
)
def test_what_can_not_be_scored_is_refused_by_field(changes, field, says):
    def checked():
        return check(job(**changes), allow_imports=ALLOWED)

    with pytest.raises(InvalidJob) as caught:
        checked()
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert any(at.endswith(field) for at in found), found
    assert any(says in description for description in found.values()), found


def test_a_composite_score_is_reported_beside_the_units_response():
    checked, result = searched(job(objective=SUM, optimizer={"name": "adam"}))
    for found, index in zip(result.searches, (0, 2), strict=True):
        stimulus = torch.from_numpy(found.stimulus)[None]
        answers = checked.target.respond(stimulus, {"1", "4"})
        response = float(answers["4"][0, index].detach())
        variation = float(sum(stimulus.diff(dim=axis).abs().sum() for axis in (2, 3)) / stimulus.numel())
        energy = float(answers["1"].detach().square().mean())
        assert found.response == pytest.approx(response, abs=1e-5)
        assert found.score == pytest.approx(response - 0.3 * variation + 0.1 * energy, abs=1e-5)
        assert found.sought == found.score == pytest.approx(np.nanmax(found.scores), abs=1e-5)


def test_keeping_a_unit_down_is_reported_as_the_low_response_that_it_has():
    _, result = searched(job(objective={"name": "unit", "options": {"direction": "down"}}, units=["4[0]"]))
    (found,) = result.searches
    assert found.score == pytest.approx(-found.response, abs=1e-6)


@pytest.mark.parametrize("generator", ["toy_lab:decoder", "toy_lab:codes"])
@pytest.mark.parametrize("optimizer", [{"name": "random", "options": {"batch": 5}}, {"name": "adam"}, {"name": "auto"}], ids=str)
def test_transformed_and_composite_jobs_go_on_bit_for_bit(tmp_path, optimizer, generator):
    changes = {"objective": SUM, "generator": {"name": generator}, "optimizer": optimizer}
    spec = job(**changes, transformations=WILD, budget={"evaluations": 40})
    _, undisturbed = searched(spec)
    resumed, stops = run_with_stops(spec, tmp_path, generations=3)
    assert stops > 0
    for one, other in zip(undisturbed.searches, resumed.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.stimulus, other.stimulus)
        assert (one.response, one.score) == (other.response, other.score)


def test_a_transformed_score_is_the_mean_over_its_draws_and_does_not_depend_on_passes():
    checked = check(job(objective=SUM, transformations=WILD, units=["4[0]"]), allow_imports=ALLOWED)
    pipeline = checked.scoring.transformations()
    assert pipeline is not None
    latents = checked.generator.latent.sample(7, torch.Generator().manual_seed(0))
    (search,) = searches_of(checked)
    found = [
        Loop(EvaluationSetup(checked.generator, checked.target, transformations=pipeline, max_batch=size), [search]).measure(
            [(search, latents)]
        )[0]
        for size in (250, 6)
    ]
    stimuli = checked.generator(latents)
    scores = []
    for row in range(7):
        shown = pipeline(stimuli[row : row + 1], row, torch.zeros(1))
        assert shown.shape == (3, 3, SIZE, SIZE)
        answers = checked.target.respond(shown, {"1", "4"})
        objective, own = checked.objective(checked.units[0]), {STIMULUS: stimuli[row : row + 1]}
        each = [objective({**own, **{layer: answer[k : k + 1] for layer, answer in answers.items()}}) for k in range(3)]
        scores.append(float(torch.cat(each).mean().detach()))
    assert found[0].tolist() == pytest.approx(scores, abs=1e-5)
    assert found[1].tolist() == pytest.approx(scores, abs=1e-5)


def test_the_reported_score_is_a_mean_over_fresh_draws():
    checked, result = searched(job(transformations={**WILD, "samples": 1}, units=["4[0]"]))
    (found,) = result.searches
    loop = Loop(EvaluationSetup(checked.generator, checked.target, transformations=checked.scoring.transformations()), searches_of(checked))
    (scores,) = loop.measure([(loop.searches[0], torch.from_numpy(found.latent)[None].repeat(2000, 1))])
    assert found.score is not None
    assert found.score_sem is not None
    assert abs(found.score - float(scores.mean())) < 4 * found.score_sem
    assert found.score_sem == pytest.approx(float(scores.std()) / 32**0.5, rel=0.4)


def test_a_gradient_under_transformations_is_that_of_the_mean_score():
    checked = check(job(objective=SUM, transformations=WILD, units=["4[0]"], optimizer={"name": "adam"}), allow_imports=ALLOWED)
    searches = searches_of(checked)
    loop = Loop(EvaluationSetup(checked.generator, checked.target, transformations=checked.scoring.transformations()), searches)
    latents = torch.tensor([[0.3, -0.2, 0.9, 0.1, -0.7]])
    ((score, gradient),) = loop._respond_with_gradients([(searches[0], latents)], _nothing())
    way = torch.tensor([[0.5, 1.0, -0.3, 0.2, 0.4]])
    up, down = (loop.measure([(searches[0], latents + step * way)])[0] for step in (0.01, -0.01))
    assert float(score) == pytest.approx(float(loop.measure([(searches[0], latents)])[0]), abs=1e-5)
    assert float((gradient * way).sum()) == pytest.approx(float((up - down) / 0.02), rel=0.02)


def _nothing():
    from actmax.engine.search.sharing import EvaluationSharing

    return EvaluationSharing(())


def test_compared_candidates_meet_in_one_pass_however_small_passes_are():
    objective = (Unit() + 0.5 * Diversity("1")).spec()
    checked = check(job(objective=objective, units=["4[0]", "4[1]"]), allow_imports=ALLOWED)
    searches = searches_of(checked)
    latents = [checked.generator.latent.sample(8, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    loop = Loop(EvaluationSetup(checked.generator, checked.target, max_batch=3), searches)
    found = loop.measure(list(zip(searches, latents, strict=True)))
    for search, own, scores in zip(searches, latents, found, strict=True):
        alone = search.objective(dict(checked.target.respond(checked.generator(own), {"1", "4"})))
        assert scores.tolist() == pytest.approx(alone.tolist(), abs=1e-5)
    # and nobody overhears scores that are another generation's
    listener = {"name": "toy_lab:Eavesdropper", "options": {"batch": 10}}
    _, result = searched(job(objective=objective, optimizer=listener, units=["4[0]", "4[1]"], prior="none"))
    assert [search.overheard for search in result.searches] == [0, 0]


def test_diverse_ascents_end_further_apart():
    def spread(weight: float) -> float:
        objective = (Unit() + weight * Diversity("1")).spec()
        spec = job(objective=objective, units=["4[0]"], optimizer={"name": "adam", "options": {"batch": 5}}, budget={"evaluations": 150})
        checked = check(spec, allow_imports=ALLOWED)
        (search,) = searches_of(checked)
        execute(checked, [search])
        answers = checked.target.respond(checked.generator(search.optimizer.ask()), {"1"})
        apart = check(job(objective=Diversity("1").spec()), allow_imports=ALLOWED).objective(checked.units[0])
        return float(apart(answers).mean().detach())

    assert spread(5.0) > spread(0.0)


def test_what_regularisers_read_is_the_untransformed_stimulus_and_the_latent():
    seen = {}

    class Reader:
        layers = frozenset({STIMULUS, LATENT})

        def __call__(self, responses):
            seen.update(responses)
            return responses[LATENT].sum(1)

    checked = check(job(units=["4[0]"], transformations=WILD), allow_imports=ALLOWED)
    (search,) = searches_of(checked)
    search.objective = Reader()
    latents = checked.generator.latent.sample(3, torch.Generator().manual_seed(0))
    loop = Loop(EvaluationSetup(checked.generator, checked.target, transformations=checked.scoring.transformations()), [search])
    (scores,) = loop.measure([(search, latents)])
    assert torch.equal(scores, latents.sum(1))
    assert torch.equal(seen[LATENT], latents)
    assert torch.equal(seen[STIMULUS], checked.generator(latents))


def test_targets_without_gradients_are_shown_nothing_beyond_their_range():
    checked = check(job(target={"name": "toy_lab:query_only"}, units=["answer[0]"], transformations=WILD), allow_imports=ALLOWED)
    pipeline = checked.scoring.transformations()
    assert pipeline is not None
    assert pipeline.clip
    plain = check(job(transformations=WILD), allow_imports=ALLOWED).scoring.transformations()
    assert plain is not None
    assert not plain.clip
    _, result = searched(job(target={"name": "toy_lab:query_only"}, units=["answer[0]"], transformations=WILD))
    (found,) = result.searches
    exact = query_only().respond(torch.from_numpy(found.stimulus)[None], {"answer"})["answer"][0, 0]
    assert found.response == pytest.approx(float(exact), abs=1e-6)
    assert found.score is not None


def test_a_noisy_target_meets_fresh_noise_in_every_draw(tmp_path):
    noisy = {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.5}}
    steps = {"steps": [{"name": "gain", "options": {"range": [1.0, 1.0]}}]}
    spreads = []
    for samples in (1, 16):
        checked = check(job(target=noisy, units=["4[0]"], transformations={**steps, "samples": samples}), allow_imports=ALLOWED)
        (search,) = searches_of(checked)
        loop = Loop(EvaluationSetup(checked.generator, checked.target, transformations=checked.scoring.transformations()), [search])
        latents = checked.generator.latent.sample(1, torch.Generator().manual_seed(0)).repeat(200, 1)
        spreads.append(float(loop.measure([(search, latents)])[0].std()))
    assert spreads[0] == pytest.approx(0.5, rel=0.15)
    assert spreads[1] == pytest.approx(0.125, rel=0.15)
    spec = job(target=noisy, transformations=WILD, budget={"evaluations": 60})
    _, undisturbed = searched(spec)
    resumed, stops = run_with_stops(spec, tmp_path, generations=2)
    assert stops > 0
    assert np.array_equal(undisturbed.searches[1].scores, resumed.searches[1].scores)
    assert undisturbed.searches[1].response == resumed.searches[1].response


def test_a_generator_of_larger_pictures_is_seen_through_crops():
    module = torch.nn.Sequential(torch.nn.Linear(4, 3 * 18 * 18), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (3, 18, 18)))
    generator = DecoderGenerator(module, Box((4,), -2.0, 2.0))
    options = {"prior": "none", "evaluations": 30, "optimizer": "adam", "seed": 1}
    crops = {"steps": [{"name": "crop", "options": {"size": [0.3, 0.4]}}], "samples": 4}
    result = maximize(generator, network(), "4[1]", transformations=crops, **options)
    assert result.searches[0].stimulus.shape == (3, 18, 18)
    with pytest.raises(InvalidJob, match="they must agree"):
        maximize(generator, network(), "4[1]", **options)


def test_python_operators_say_what_job_files_say():
    unit, variation = Unit("4[1]"), TotalVariation(kind="isotropic")
    whole = unit - 0.1 * variation + (Joint([{"unit": "4[0]"}]) + LogProbability("4[2]")) * 0.5
    assert whole.spec() == {
        "name": "sum",
        "options": {
            "terms": [
                {"objective": {"name": "unit", "options": {"unit": "4[1]"}}, "weight": 1.0},
                {"objective": {"name": "total-variation", "options": {"kind": "isotropic"}}, "weight": -0.1},
                {"objective": {"name": "joint", "options": {"terms": [{"unit": "4[0]"}]}}, "weight": 0.5},
                {"objective": {"name": "log-probability", "options": {"unit": "4[2]"}}, "weight": 0.5},
            ]
        },
    }
    # operators leave their operands as they were
    assert unit.spec() == {"name": "unit", "options": {"unit": "4[1]"}}
    negative = -whole
    assert (-negative).spec() == whole.spec()
    assert sum([unit, variation]).spec() == (unit + variation).spec()  # type: ignore[union-attr]
    assert ((unit + variation) / 2).spec() == (0.5 * unit + 0.5 * variation).spec()
    assert "0.1 * TotalVariation" in repr(whole)
    for wrong in (lambda: unit + 1, lambda: cast(Any, unit) * variation, lambda: 2 - cast(Any, unit), lambda: Unit("a", "b")):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="kind"):
        TotalVariation(kind="round")
    options = {"evaluations": 40, "seed": 2, "optimizer": "adam"}
    generator = check(job(), allow_imports=ALLOWED).generator
    written = maximize(generator, network(), objective=whole, transformations=["roll"], **options)
    named = {"objective": "sum", "objective_options": whole.spec()["options"]}
    filed = maximize(generator, network(), "4[1]", **named, transformations=["roll"], **options)
    assert written.searches[0].unit == "4[1]"
    assert np.array_equal(written.searches[0].scores, filed.searches[0].scores)


def test_natural_multiples_are_the_responses():
    spec = JobSpec.parse(
        {
            "generator": {"name": "cifar10-sngan"},
            "target": {"name": "cifar10-cnn"},
            "units": ["fc[3]"],
            "objective": (Unit() - 0.5 * TotalVariation()).spec(),
            "optimizer": {"name": "adam"},
            "budget": {"evaluations": 3},
        }
    )
    checked = check(spec)
    (search,) = searches_of(checked)
    assert search.natural_best is None  # its scores are no multiples of a response
    (found,) = execute(checked, [search]).searches
    assert found.natural_best == checked.reference(checked.units[0]) is not None
    assert found.score is not None
    assert found.score < found.response
    answers = checked.target.respond(torch.from_numpy(found.stimulus)[None], {"fc"})
    assert found.response == pytest.approx(float(UnitObjective(checked.units[0])(answers).detach()), abs=1e-4)
