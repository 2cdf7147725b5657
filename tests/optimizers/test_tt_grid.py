"""The tensor train on a refined grid: levels, tilt and model against closed forms, and the search end to end."""

import math

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Listener, Problem, Unsuitable
from actmax.optimizers.refined_grid import NaturalLevels, moments, refined
from actmax.optimizers.separable_model import fitted, normal_ranks
from actmax.optimizers.testing import Landscape, run
from actmax.optimizers.tt_grid import TTGrid

BOX = Box((6,), -3.0, 3.0)


def normal_bank(m: int = 4000, size: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(m, size, generator=torch.Generator().manual_seed(seed)).clamp(-3.0, 3.0)


def levels_of(bank: torch.Tensor | None, rank: int = 1) -> NaturalLevels:
    return NaturalLevels.of(BOX, bank, 16, rank, torch.Generator().manual_seed(0))


def test_levels_have_the_moments_of_the_bank() -> None:
    bank = normal_bank() * 0.5 + torch.arange(6) * 0.1
    natural = levels_of(bank)
    mean, variance = moments(natural.train(natural.edges), natural.edges)
    assert torch.allclose(mean, bank.double().mean(0), atol=0.03)
    assert torch.allclose(variance, bank.double().var(0), rtol=0.15)


def test_blind_levels_are_even() -> None:
    natural = levels_of(None)
    mean, variance = moments(natural.train(natural.edges), natural.edges)
    assert torch.allclose(mean, torch.zeros(6).double(), atol=1e-6)
    assert torch.allclose(variance, torch.full((6,), 3.0).double(), rtol=1e-5)


def test_any_levels_hold_the_same_density() -> None:
    natural = levels_of(normal_bank(), rank=3)
    coarse = natural.train(natural.edges)
    fine = natural.train(torch.linspace(-3.0, 3.0, 401, dtype=torch.float64).expand(6, -1))
    assert torch.allclose(fine.tables.sum(2), torch.ones(6, 3).double(), atol=1e-4)
    for a, b in zip(moments(coarse, natural.edges), moments(fine, torch.linspace(-3, 3, 401).double().expand(6, -1)), strict=True):
        assert torch.allclose(a, b, atol=5e-3)


def test_levels_move_to_where_the_mass_is() -> None:
    natural = levels_of(None)
    edges = natural.edges
    for _ in range(4):
        middles = (edges[:, 1:] + edges[:, :-1]) / 2
        train = natural.train(edges).tilted((-0.5 * ((middles - 1.0) / 0.05).square()).float())
        edges = refined(train, edges)
    assert bool((edges.diff(dim=1) >= 0).all())
    assert edges[:, 0].tolist() == [-3.0] * 6
    assert edges[:, -1].tolist() == [3.0] * 6
    inside = ((edges > 0.85) & (edges < 1.15)).sum(1)
    assert bool((inside >= 13).all()), "of 17 edges"


def test_the_tilt_is_a_gaussian_times_the_natural_density() -> None:
    search = TTGrid(Problem(BOX, 0, bank=normal_bank()), TTGrid.Options(levels=64))
    search._mean, search._spread = torch.full((6,), 0.7).double(), torch.full((6,), 0.04).double()
    for _ in range(4):
        search._edges = refined(search._tilted(search._edges), search._edges)
    search._settle()
    # a standard normal times N(0.7, 0.04) / N(0, 1), each coordinate by itself
    assert torch.allclose(search._middle, torch.full((6,), 0.7).double(), atol=0.02)
    assert torch.allclose(search._width, torch.full((6,), 0.2).double(), rtol=0.1)
    drawn = search._drawn(6000).double()
    assert torch.allclose(drawn.mean(0), search._middle, atol=0.01)
    assert torch.allclose(drawn.std(0), search._width, rtol=0.05)
    assert len(drawn.unique()) > 0.9 * drawn.numel(), "a sample is not bound to a level's middle"


def test_the_model_finds_the_peak_of_a_bump() -> None:
    rows = torch.rand(300, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    peak = torch.linspace(-0.6, 0.6, 6)
    scores = (-(rows - peak).square().sum(1)).exp().double()
    mean, deviation = torch.zeros(6).double(), torch.full((6,), 3**-0.5).double()
    for scale in (1.0, 1e-9, 1e9):
        model = fitted(rows, scores * scale, mean, deviation)
        assert model.bend > 0
        found = deviation * model.step(10.0)
        assert float(torch.cosine_similarity(found, peak.double(), dim=0)) > 0.99
        assert 0.8 < float(found.norm() / peak.norm()) < 1.6, "of ranks it is no exact parabola"
    assert math.isclose(float(model.step(0.1).square().mean().sqrt()), 0.1, rel_tol=1e-6)


def test_a_score_without_a_peak_is_climbed_as_far_as_allowed() -> None:
    rows = torch.rand(300, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    step = fitted(rows, rows[:, 0].double().exp(), torch.zeros(6).double(), torch.ones(6).double()).step(0.5)
    assert float(step[0]) > 0.9 * 0.5 * 6**0.5
    assert float(step.square().mean().sqrt()) <= 0.5 + 1e-6


def test_equal_scores_share_their_rank() -> None:
    ranks = normal_ranks(torch.tensor([5.0, 0.0, 0.0, 0.0]).double())
    assert torch.equal(ranks[1:], ranks[1:2].expand(3))
    assert float(ranks[0]) > 1.1


@pytest.mark.parametrize("blind", [True, False])
def test_finds_the_peak_of_a_box(blind: bool) -> None:
    landscape = Landscape(BOX)
    search = TTGrid(Problem(BOX, 0, 600, None if blind else normal_bank(200)), TTGrid.Options())
    run(search, landscape, 30)
    assert float(landscape.score(search.recommend()[None])) > -1e-3


def test_samples_narrow_towards_the_end() -> None:
    search = TTGrid(Problem(BOX, 0, 1000), TTGrid.Options(final=0.1))
    told = run(search, Landscape(BOX), 50)
    spread = told[-1].latents[1:].std(0).mean() / told[0].latents.std(0).mean()
    assert 0.05 < float(spread) < 0.2


def test_keeps_the_length_of_natural_latents() -> None:
    space = Box((100,), -3.0, 3.0)
    search = TTGrid(Problem(space, 0, 800, normal_bank(1000, 100)), TTGrid.Options())
    slope = torch.randn(100, generator=torch.Generator().manual_seed(2)).double()
    for _ in range(40):
        latents = search.ask()
        search.tell(Evaluations(latents, latents.double() @ slope))
    lengths = search.ask()[1:].norm(dim=1) / 10.0
    assert abs(float(lengths.mean()) - 1.0) < 0.1, "the root of 100, as natural ones are"
    assert float(torch.corrcoef(torch.stack([search.recommend().double(), slope]))[0, 1]) > 0.7


def test_under_noise_it_recommends_the_mean() -> None:
    landscape, generator = Landscape(BOX), torch.Generator().manual_seed(0)
    search = TTGrid(Problem(BOX, 0, 1500, noisy=True), TTGrid.Options())
    for _ in range(75):
        latents = search.ask()
        search.tell(Evaluations(latents, landscape.score(latents) + 0.02 * torch.randn(20, generator=generator).double()))
    assert torch.equal(search.recommend(), search.ask()[0])
    assert float(landscape.score(search.recommend()[None])) > -0.01


def test_overhears() -> None:
    landscape = Landscape(BOX)
    search = TTGrid(Problem(BOX, 0, 600), TTGrid.Options())
    assert isinstance(search, Listener)
    run(search, landscape, 2)
    star = landscape._peak.float()
    search.observe(Evaluations(torch.stack([star, star]), torch.tensor([torch.nan, 0.0]).double()))
    assert torch.equal(search.recommend(), star)
    assert len(search._scores) == 41


def test_refuses_codes_and_large_boxes() -> None:
    with pytest.raises(Unsuitable, match="tt-evolution"):
        TTGrid(Problem(Categorical((3,), 4), 0), TTGrid.Options())
    with pytest.raises(Unsuitable, match="257; use sphere-cma"):
        TTGrid(Problem(Box((257,), -1.0, 1.0), 0), TTGrid.Options())
