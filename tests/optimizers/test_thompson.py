"""Search by drawn functions, on landscapes whose peak is known."""

import pytest
import torch

from actmax.engine.components.registry import options_of
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Listener, Problem, Unsuitable
from actmax.optimizers.thompson import Thompson

BOX = Box((32,), -1, 1)


def run(problem: Problem, score, evaluations: int, **options) -> Thompson:
    search = Thompson(problem, Thompson.Options(**options))
    told = 0
    while told < evaluations:
        latents = search.ask()
        problem.latent.check(latents)
        search.tell(Evaluations(latents, score(latents)))
        told += len(latents)
    return search


def bump(seed: int):
    centre = 1.6 * torch.rand(32, generator=torch.Generator().manual_seed(seed)) - 0.8
    return lambda latents: 50 * (-(latents.flatten(1) - centre).square().sum(1) / 4.5).exp().double()


@pytest.mark.parametrize("seed", range(3))
def test_a_bump_of_32_dimensions_is_climbed_in_300_evaluations(seed):
    score = bump(seed)
    search = run(Problem(BOX, seed, 300), score, 300)
    assert score(search.recommend()[None]) > 45


def test_under_poisson_noise_the_recommendation_is_near_the_peak_and_was_not_evaluated():
    score = bump(0)
    generator = torch.Generator().manual_seed(0)
    asked: list[torch.Tensor] = []

    def counts(latents):
        asked.append(latents)
        return torch.poisson(score(latents), generator=generator)

    search = run(Problem(BOX, 0, 1000, noisy=True), counts, 1000)
    recommended = search.recommend()
    assert score(recommended[None]) > 42
    assert not (torch.cat(asked) == recommended).all(1).any()
    # the luckiest count is far above what its latent is worth
    assert search._best is not None
    assert search._best_score > 1.15 * float(score(search._best[None]))


def test_the_higher_of_two_peaks_is_found():
    generator = torch.Generator().manual_seed(0)
    low, high = -0.5 * torch.ones(6), 0.6 * torch.ones(6)

    def two(latents):
        near = lambda centre, height: height * (-(latents - centre).square().sum(1) / 0.5).exp()  # noqa: E731
        return near(low, 20.0).double() + near(high, 30.0).double()

    for seed in range(3):
        starts = low + 0.1 * torch.randn(20, 6, generator=generator)
        search = run(Problem(Box((6,), -1, 1), seed, 500, starts=starts), two, 500)
        assert two(search.recommend()[None]) > 28, "although it starts on the lower one"


def test_a_silent_unit_is_shown_more_until_it_answers():
    box = Box((4,), 0, 1)
    asked: list[torch.Tensor] = []

    def silent(latents):
        asked.append(latents)
        return torch.zeros(len(latents), dtype=torch.float64)

    run(Problem(box, 0, 400), silent, 90)
    shown = torch.cat(asked)[:80]
    assert len(shown.unique(dim=0)) == 80
    assert float((shown.mean(0) - 0.5).abs().max()) < 0.15, "anywhere in the box, not around one place"
    asked.clear()
    run(Problem(box, 0, 400, noisy=True), silent, 160)  # and after a quarter of the evaluations something else is tried


@pytest.mark.parametrize("noisy", [False, True])
def test_a_loop_that_misses_all_its_first_trials_goes_on(noisy):
    box = Box((4,), 0, 1)
    search = Thompson(Problem(box, 0, 60, noisy=noisy), Thompson.Options(batch=4))
    for _ in range(8):  # more than a quarter of the evaluations
        latents = search.ask()
        search.tell(Evaluations(latents, torch.full((len(latents),), torch.nan, dtype=torch.float64)))
    for _ in range(5):
        latents = search.ask()
        box.check(latents)
        search.tell(Evaluations(latents, -(latents - 0.5).square().sum(1).double()))
    box.check(search.recommend()[None])


def test_missed_trials_are_left_out():
    score = bump(1)

    def partly(latents):
        scores = score(latents)
        scores[::3] = torch.nan
        return scores

    search = run(Problem(BOX, 1, 450), partly, 450)
    assert score(search.recommend()[None]) > 40


def test_others_evaluations_are_learned_from():
    score = bump(0)
    problem = Problem(BOX, 0, 600)
    helped = Thompson(problem, Thompson.Options())
    assert isinstance(helped, Listener)
    other = run(Problem(BOX, 5, 300), score, 300)
    latents = other._places.latents(other._model.rows)
    helped.tell(Evaluations(helped.ask(), score(helped.ask())))
    helped.observe(Evaluations(latents, score(latents)))
    assert score(helped.ask()[:1]) > 40


def test_equal_scores_are_no_reason_to_fail():
    search = run(Problem(Box((5,), 0, 1), 0, 200), lambda latents: torch.zeros(len(latents), dtype=torch.float64), 200)
    assert search.recommend().shape == (5,)


def test_more_coordinates_than_have_products_are_searched():
    centre = torch.linspace(-0.5, 0.5, 64)
    search = run(Problem(Box((64,), -1, 1), 0, 600), lambda latents: -(latents - centre).square().sum(1).double(), 600, n_features=128)
    assert (search.recommend() - centre).square().sum() < 1.0  # uniform draws have 27


LEVELS = Categorical((32,), 16)
VECTORS = torch.linspace(-1, 1, 16)[:, None]


def level_bump(seed: int):
    centre = torch.randint(16, (32,), generator=torch.Generator().manual_seed(seed))
    return lambda latents: 50 * (-(VECTORS[latents, 0] - VECTORS[centre, 0]).square().sum(1) / 4.5).exp().double()


@pytest.mark.parametrize("seed", range(3))
def test_codes_on_a_scale_are_searched_by_their_vectors_and_none_is_asked_twice(seed):
    score = level_bump(seed)
    asked: list[torch.Tensor] = []

    def noted(latents):
        asked.append(latents)
        return score(latents)

    search = run(Problem(LEVELS, seed, 300, code_vectors=VECTORS), noted, 300)
    assert score(search.recommend()[None]) > 45
    shown = torch.cat(asked)
    assert len(shown.unique(dim=0)) == len(shown)


def test_codes_under_poisson_noise_are_recommended_from_the_model():
    score = level_bump(0)
    generator = torch.Generator().manual_seed(0)
    search = run(Problem(LEVELS, 0, 1000, noisy=True, code_vectors=VECTORS), lambda latents: torch.poisson(score(latents), generator), 1000)
    assert score(search.recommend()[None]) > 37  # uniform draws have 2 to 3


def test_a_space_of_few_codes_may_be_known_through_and_through():
    problem = Problem(Categorical((2,), 3), 0, 60, code_vectors=torch.tensor([[0.0], [1.0], [5.0]]))
    search = run(problem, lambda latents: -(latents - 1).square().sum(1).double(), 60)
    assert search.recommend().tolist() == [1, 1]


def test_a_search_of_codes_goes_on_where_it_was():
    score = level_bump(1)
    problem = Problem(LEVELS, 1, 400, code_vectors=VECTORS)
    search = run(problem, score, 160)
    other = Thompson(problem, Thompson.Options())
    other.load_state_dict(search.state_dict())
    for _ in range(3):
        latents = search.ask()
        assert torch.equal(latents, other.ask())
        for one in (search, other):
            one.tell(Evaluations(latents, score(latents)))


def test_codes_without_vectors_are_refused():
    with pytest.raises(Unsuitable, match="tt-evolution"):
        Thompson(Problem(Categorical((4, 4), 20), 0), Thompson.Options())


def test_codes_of_many_coordinates_are_refused():
    with pytest.raises(Unsuitable, match="have 1024"):
        Thompson(Problem(Categorical((8, 8), 20), 0, code_vectors=torch.rand(20, 16)), Thompson.Options())


def test_boxes_of_thousands_are_refused():
    with pytest.raises(Unsuitable, match="sphere-cma"):
        Thompson(Problem(Box((4096,), -1, 1), 0), Thompson.Options())


def test_the_former_name_of_its_features_is_read_with_a_warning():
    with pytest.warns(FutureWarning, match="the option waves is called n_features now"):
        assert options_of(Thompson, {"waves": 32}, "optimizer.options") == Thompson.Options(n_features=32)
