import numpy as np
import pytest
import torch

from actmax.engine import checkpoint
from actmax.engine.build import check
from actmax.engine.components.registry import find
from actmax.engine.errors import InvalidJob
from actmax.engine.run import execute, searches_of
from actmax.engine.search.distance import LatentDistance
from actmax.engine.search.diverse_search import DiverseSearch, FinalsInTurn
from actmax.engine.search.diverse_selection import best_apart
from actmax.engine.search.sequential_halving import SequentialHalving
from actmax.engine.search.sequential_niching import SequentialNiching
from actmax.models.generators.constrained import ConstrainedGenerator
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Listener, Problem, Unsuitable
from actmax.optimizers.testing import Landscape, OptimizerContract, contract_problems
from jobs import ALLOWED, job, run_with_stops
from toy_lab import codes, decoder

NOISY = {"name": "noisy", "options": {"target": {"name": "toy_lab:network"}, "noise": "gaussian", "sigma": 0.05}}


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def diverse(problem, name="random", n=3, distance=0.3, **options):
    found = find("optimizer", name, "optimizer.name")
    measure = LatentDistance(problem.latent, problem.bank)
    return SequentialNiching(problem, lambda stage: found(stage, found.Options()), n, distance, measure, **options)


def played(optimizer, landscape, evaluations):
    """Told so many evaluations, and the stage of each."""
    stages = []
    while len(stages) < evaluations:
        latents = optimizer.ask()[: evaluations - len(stages)]
        stages += [optimizer.stage] * len(latents)
        optimizer.tell(landscape.evaluate(latents, optimizer.needs_gradient))
    return stages


class TestContract(OptimizerContract):
    """It is an optimizer like any other, whichever it wraps."""

    problems = contract_problems(evaluations=90)

    class optimizer:
        """Stages of an optimizer that the option names; with a budget so short that a test passes through all stages."""

        Options = find("optimizer", "random", "optimizer.name").Options
        inner = "random"

        def __new__(cls, problem, options):
            return diverse(problem, cls.inner)


class TestContractOfGradients(TestContract):
    class optimizer(TestContract.optimizer):
        inner = "adam"


class TestContractOfListeners(TestContract):
    class optimizer(TestContract.optimizer):
        inner = "patch-evolution"


@pytest.mark.parametrize("relaxed", [False, True])
def test_the_distance_of_codes_is_the_share_that_differs(relaxed):
    space = Categorical((3, 4), 5)
    first, second = space.sample(6, random()), space.sample(2, random(1))
    second[0] = first[4]
    shown = torch.nn.functional.one_hot(first, 5).float() if relaxed else first
    found = LatentDistance(space)(shown, second)
    assert torch.allclose(found, (first[:, None] != second).flatten(2).double().mean(2), atol=1e-6)
    assert found[4, 0] == 0
    if relaxed:
        mixed = torch.full((1, 3, 4, 5), 0.2)
        assert LatentDistance(space)(mixed, second)[0].tolist() == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("blind", [False, True])
def test_two_latents_drawn_at_random_are_one_apart(blind):
    space = Box((40,), -4.0, 4.0)
    draws = space.sample(400, random()) if blind else torch.randn(400, 40, generator=random()).clamp(-4, 4)
    measure = LatentDistance(space, None if blind else draws)
    apart = measure(draws[:200], draws[200:])
    assert float(apart.square().mean()) == pytest.approx(1, abs=0.02)
    point = draws[:1].clone().requires_grad_()
    (slope,) = torch.autograd.grad(measure(point, draws[:2])[0].sum(), point)
    assert bool(slope.isfinite().all())
    assert float(slope.norm()) > 0


def test_distances_are_those_of_what_is_decoded():
    inner = codes()
    assert inner.prior is not None
    generator = ConstrainedGenerator(inner, max_code_changes=0.0)
    measure = LatentDistance(inner.latent, inner.prior.bank, generator.project)
    near = inner.prior.bank[:1].clone()
    near[0, 0, 0] = (near[0, 0, 0] + 1) % 7
    assert float(measure(near, inner.prior.bank[:1])[0, 0]) == 0


OPTIMIZERS = ["random", "adam", "protes", "patch-evolution", "nevergrad", "cma", "tt-evolution", "auto"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("generator", ["toy_lab:decoder", "toy_lab:codes"])
def test_every_search_finds_its_optima_apart_within_its_budget(optimizer, generator):
    spec = job(generator={"name": generator}, optimizer={"name": optimizer}, budget={"evaluations": 121}, diverse={"n": 3, "distance": 0.4})
    if (optimizer, generator) in (("cma", "toy_lab:codes"), ("tt-evolution", "toy_lab:decoder")):
        pytest.skip("it searches only the other kind")
    checked = check(spec, allow_imports=ALLOWED)
    searches = searches_of(checked)
    for found, index in zip(execute(checked, searches).searches, (0, 2), strict=True):
        assert found.evaluations == 121
        assert len(found.optima) == 3
        assert [one.number for one in found.optima] == [0, 1, 2]
        latents = torch.stack([torch.from_numpy(one.latent) for one in found.optima])
        checked.generator.latent.check(latents)
        apart = checked.latent_distance().within(latents)
        assert float(apart[~torch.eye(3, dtype=torch.bool)].min()) >= 0.4
        stimuli = checked.generator(latents)
        responses = checked.target.respond(stimuli, {"4"})["4"][:, index].tolist()
        for number, one in enumerate(found.optima):
            assert one.distinct
            assert one.distances == pytest.approx(apart[number].tolist())
            assert one.nearest == pytest.approx(float(apart[number][torch.arange(3) != number].min()))
            assert one.response == pytest.approx(responses[number], abs=1e-5)
            assert np.allclose(one.stimulus, stimuli[number].detach().numpy(), atol=1e-6)
        assert found.response == found.optima[0].response == max(one.response for one in found.optima)
        assert np.array_equal(found.latent, found.optima[0].latent)


def test_an_ordinary_search_has_one_optimum():
    checked = check(job(), allow_imports=ALLOWED)
    (one,) = execute(checked, searches_of(checked)).searches[0].optima
    assert (one.number, one.distances, one.nearest, one.distinct) == (0, (0.0,), None, True)


@pytest.mark.parametrize("optimizer", ["adam", "cma"])
def test_later_stages_find_what_the_first_does_not_show(optimizer):
    """Two bumps in a box, one a little lower: an ordinary search of one climbs the higher; the set has both tops."""
    space = Box((6,), -1.0, 1.0)
    tops = torch.tensor([[0.5] * 6, [-0.5] * 6])

    def score(latents):
        squares = (latents[:, None].double() - tops).square().sum(2)
        return (torch.tensor([1.0, 0.9]).double() * (-squares).exp()).sum(1)

    built = diverse(Problem(space, 1, 600), optimizer, n=2, distance=0.8)
    told = 0
    while told < 600:
        latents = built.ask().detach().clone().requires_grad_(built.needs_gradient)
        scores = score(latents)
        slopes = torch.autograd.grad(scores.sum(), latents)[0] if built.needs_gradient else None
        built.tell(Evaluations(latents.detach(), scores.detach(), None, slopes))
        told += len(latents)
    found = built.optima()
    assert float((found[0] - tops[0]).square().sum()) < 0.2
    assert float((found[1] - tops[1]).square().sum()) < 0.2


def test_stages_share_the_evaluations_and_the_first_has_more_where_later_ones_listen():
    space = Categorical((4, 4), 6)
    problem = Problem(space, 0, 100, space.sample(30, random()))
    deaf = played(diverse(problem, "random", n=4), Landscape(space), 100)
    assert [deaf.count(stage) for stage in range(4)] == [25, 25, 25, 25]
    listening = played(diverse(problem, "patch-evolution", n=4), Landscape(space), 100)
    assert [listening.count(stage) for stage in range(4)] == [40, 20, 20, 20]


def test_a_later_stage_that_listens_hears_all_that_was_told_with_lowered_scores():
    space = Categorical((4, 4), 6)
    problem = Problem(space, 0, 60, space.sample(30, random()))
    heard: list[Evaluations] = []
    found = find("optimizer", "patch-evolution", "optimizer.name")

    class Recorded(found):
        def observe(self, evaluations):
            heard.append(evaluations)
            super().observe(evaluations)

    measure = LatentDistance(space)
    built = SequentialNiching(problem, lambda stage: Recorded(stage, found.Options()), 2, 0.5, measure)
    assert isinstance(built, Listener)
    landscape = Landscape(space)
    played(built, landscape, 60)
    ((latents, scores),) = [(one.latents, one.scores) for one in heard]
    assert len(latents) == len({tuple(row) for row in latents.flatten(1).tolist()}) == 40
    own = landscape.score(latents)
    top = int(own.argmax())
    spread = own.max() - own.quantile(0.25)
    near = (1 - measure(latents, latents[top][None])[:, 0] / 0.55).clamp(min=0)
    assert torch.allclose(scores, own - 4 * spread * near)
    assert scores[top] < own.min()


def test_a_gradient_search_is_turned_away_from_an_earlier_optimum():
    space = Categorical((4,), 3)
    built = diverse(Problem(space, 0, 40, differentiable=True), "adam", n=2, distance=1.0)
    landscape = Landscape(space)
    played(built, landscape, 20)
    assert built.stage == 1
    top = built._found[0]
    weights = torch.nn.functional.one_hot(top, 3).float()[None]
    uphill = torch.nn.functional.one_hot(top, 3).float()[None]  # the score would have it stay
    lowered = built._lowered(Evaluations(weights, torch.zeros(1), None, uphill))
    assert lowered.gradients is not None
    assert bool((lowered.gradients[0].gather(-1, top[:, None]) < 0).all())
    away = torch.nn.functional.one_hot((top + 1) % 3, 3).float()[None]
    left_alone = built._lowered(Evaluations(away, torch.zeros(1), None, uphill))
    assert left_alone.gradients is not None


def test_a_set_that_can_not_be_apart_says_so():
    spec = job(generator={"name": "toy_lab:codes"}, budget={"evaluations": 30}, diverse={"n": 12, "distance": 1.0})
    checked = check(spec, allow_imports=ALLOWED)  # only seven maps have no code in common
    for found in execute(checked, searches_of(checked)).searches:
        assert len(found.optima) == 12
        assert 1 <= sum(one.distinct for one in found.optima) <= 7
        for number, one in enumerate(found.optima):
            assert one.distinct == all(distance >= 1 for distance in one.distances[:number])


def test_the_best_apart_is_the_best_of_those_that_are_far_enough():
    space = Box((1,), 0.0, 1.0)
    measure = LatentDistance(space)
    latents = torch.tensor([[0.1], [0.2], [0.5], [0.9]])
    scores = torch.tensor([3.0, 4.0, 1.0, 2.0]).double()
    assert best_apart(latents, scores, latents[:0], 0.5, measure) == 1
    assert best_apart(latents, scores, latents[1:2], 0.5, measure) == 3
    assert best_apart(latents, scores, latents[1:2], 0.1 / measure._unit, measure) == 0
    assert best_apart(latents, scores, latents[1:2], 9.0, measure) == 3


@pytest.mark.parametrize(("optimizer", "target"), [("adam", None), ("patch-evolution", NOISY), ("sphere-cma", None), ("random", NOISY)])
def test_an_interrupted_job_gives_the_same_bits(tmp_path, optimizer, target):
    changes = {"target": target} if target else {}
    spec = job(
        optimizer={"name": optimizer}, budget={"evaluations": 160}, diverse={"n": 3, "distance": 0.4}, design={"remeasure": 0.3}, **changes
    )
    whole, _ = run_with_stops(spec, tmp_path / "whole", 10_000)
    again, stops = run_with_stops(spec, tmp_path / "again", 2)
    assert stops >= 3
    for one, other in zip(whole.searches, again.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        for first, second in zip(one.optima, other.optima, strict=True):
            assert np.array_equal(first.latent, second.latent)
            assert (first.response, first.response_sem, first.distances) == (second.response, second.response_sem, second.distances)


def test_under_noise_each_optimum_is_measured_again_within_the_budget():
    spec = job(target=NOISY, budget={"evaluations": 400}, diverse={"n": 4, "distance": 0.3}, optimizer={"name": "patch-evolution"})
    checked = check(spec, allow_imports=ALLOWED)
    exact = check(job(), allow_imports=ALLOWED).target
    searches = searches_of(checked)
    off = []
    for found, search, unit in zip(execute(checked, searches).searches, searches, (0, 2), strict=True):
        assert isinstance(search, DiverseSearch)
        assert found.evaluations == 400
        assert [one.measurements for one in found.optima] == [3, 3, 3, 3]  # a quarter of ten, rounded up
        assert all(one.distinct for one in found.optima)
        stimuli = torch.stack([torch.from_numpy(one.stimulus) for one in found.optima])
        true = exact.respond(stimuli, {"4"})["4"][:, unit].tolist()
        off += [(one.response - value) / 0.05 * 3**0.5 for one, value in zip(found.optima, true, strict=True)]
    assert np.abs(off).max() < 4


def test_finals_in_turn_keep_their_winners_apart():
    """Noise that moves every winner within its pool never brings two of them nearer than they may be."""
    space, generator = Box((2,), 0.0, 1.0), random(3)
    measure = LatentDistance(space)
    for _ in range(20):
        points = torch.rand(40, 2, generator=generator)
        optima = points[[0, 1]]
        if float(measure.within(optima)[0, 1]) < 0.5:
            continue
        pools = []
        for number in range(2):
            far = measure(points[2:], optima[1 - number][None])[:, 0] >= 0.5
            pools.append(torch.cat([optima[number][None], points[2:][far]]))
        finals = FinalsInTurn([(pools[0], 40), (pools[1], 40)], 0.5, measure)
        asked = 0
        while not finals.done:
            shown = finals.ask()
            asked += len(shown)
            finals.tell(torch.randn(len(shown), generator=generator).double())
        assert asked == 80
        winners = torch.stack([answer.latent for answer in finals.answers()])
        assert float(measure.within(winners)[0, 1]) >= 0.5
        assert all(answer.measurements == 10 for answer in finals.answers())


def test_optima_that_nothing_is_left_for_stay_open():
    finals = FinalsInTurn([(torch.zeros(1, 2), 1), (torch.ones(1, 2), 0)], 0.5, LatentDistance(Box((2,), 0.0, 1.0)))
    finals.tell(torch.full((len(finals.ask()),), 2.0).double())
    assert finals.done
    assert [answer.measurements for answer in finals.answers()] == [1, 0]
    assert isinstance(finals._played[0], SequentialHalving)
    assert finals._played[1] is None


def test_a_plateau_ends_a_stage_and_the_last_one_the_search():
    spec = job(budget={"evaluations": 4000, "plateau": 130}, diverse={"n": 3, "distance": 0.3}, units=["4[0]"])
    checked = check(spec, allow_imports=ALLOWED)
    (search,) = searches_of(checked)
    (found,) = execute(checked, [search]).searches
    assert found.stopped_by == "plateau"
    assert isinstance(search, DiverseSearch)
    assert search.optimizer.stage == 2
    assert 3 * 130 <= found.evaluations < 4000
    assert len(found.optima) == 3


def test_a_cancelled_search_gives_as_many_as_it_can():
    spec = job(budget={"evaluations": 600}, diverse={"n": 3, "distance": 0.3})
    checked = check(spec, allow_imports=ALLOWED)
    rounds = iter([False, True])
    result = execute(checked, searches_of(checked), should_stop=lambda: "cancel" if next(rounds) else "")
    for found in result.searches:
        assert found.stopped_by == "cancelled"
        assert len(found.optima) == 3
        assert all(one.distinct for one in found.optima)


def test_state_is_what_a_checkpoint_holds(tmp_path):
    built = diverse(Problem(Categorical((3, 3), 8), 3, 60), "patch-evolution")
    played(built, Landscape(built.problem.latent), 45)
    checkpoint.save(tmp_path / "state.safetensors", built.state_dict())
    twin = diverse(Problem(Categorical((3, 3), 8), 3, 60), "patch-evolution")
    twin.load_state_dict(checkpoint.load(tmp_path / "state.safetensors"))
    assert torch.equal(twin.ask(), built.ask())
    assert torch.equal(twin.optima(), built.optima())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"diverse": {"n": 1}}, "diverse.n"),
        ({"diverse": {"n": 3, "distance": 0}}, "diverse.distance"),
        ({"diverse": {"n": 3}, "budget": {"seconds": 5}}, "diverse"),
        ({"diverse": {"n": 30}, "budget": {"evaluations": 20}}, "diverse"),
        ({"diverse": {"n": 3}, "optimizer": {"name": "cma"}, "generator": {"name": "toy_lab:codes"}}, "optimizer"),
    ],
)
def test_what_can_not_be_is_refused(changes, field):
    with pytest.raises(InvalidJob) as caught:
        check(job(**changes), allow_imports=ALLOWED)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_an_unsuitable_optimizer_is_so_at_once():
    with pytest.raises(Unsuitable):
        diverse(Problem(Categorical((3,), 4), 0, 50), "cma")


def test_a_decoder_stays_within_its_bounds_with_constraints():
    spec = job(
        generator={"name": "toy_lab:decoder"},
        optimizer={"name": "adam"},
        constraints={"max_latent_std": 0.8},
        budget={"evaluations": 120},
        diverse={"n": 3, "distance": 0.4},
    )
    checked = check(spec, allow_imports=ALLOWED)
    density = decoder().prior.density  # pyright: ignore[reportOptionalMemberAccess]
    for found in execute(checked, searches_of(checked)).searches:
        latents = torch.stack([torch.from_numpy(one.latent) for one in found.optima])
        assert float(density.whiten(latents).square().mean(1).sqrt().max()) <= 0.8  # pyright: ignore[reportAttributeAccessIssue]
        assert all(one.distinct for one in found.optima)
