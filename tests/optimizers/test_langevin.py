"""Langevin sampling against closed forms."""

import pytest
import torch

from actmax.models.densities import GaussianDensity
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.langevin import Langevin
from actmax.optimizers.optimizer import Evaluations, Problem

BOX = Box((3,), -8.0, 8.0)
MEAN = torch.tensor([0.5, -1.0, 0.0]).double()
COVARIANCE = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.8, -0.2], [0.0, -0.2, 0.3]]).double()


def density() -> GaussianDensity:
    values, vectors = torch.linalg.eigh(COVARIANCE)
    return GaussianDensity(BOX, MEAN, vectors * values.sqrt() @ vectors.T)


def walk(options: Langevin.Options, slope: torch.Tensor, steps: int, burn: int) -> torch.Tensor:
    optimizer = Langevin(Problem(BOX, 0, density=density), options)
    seen = []
    for step in range(steps):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, torch.zeros(len(latents)).double(), None, slope.float().expand_as(latents)))
        if step >= burn:
            seen.append(latents.double())
    return torch.cat(seen)


def test_samples_the_prior_where_the_score_is_flat() -> None:
    options = Langevin.Options(prior_rate=0.2, noise=None, batch=4000, restart="never")
    seen = walk(options, torch.zeros(3), 60, 25)
    assert torch.allclose(seen.mean(0), MEAN, atol=0.05)
    assert torch.allclose(torch.cov(seen.T), COVARIANCE, atol=0.05)


def test_samples_the_prior_times_the_exponential_of_a_linear_score() -> None:
    # p(x) exp(k b·x) is the Gaussian of the same covariance around m + k C b
    slope = torch.tensor([0.5, 1.0, -2.0]).double()
    options = Langevin.Options(prior_rate=0.05, score_rate=0.05, noise=None, normalise=False, batch=4000, restart="never")
    seen = walk(options, slope, 160, 120)
    assert torch.allclose(seen.mean(0), MEAN + COVARIANCE @ slope, atol=0.05)
    assert torch.allclose(torch.cov(seen.T), COVARIANCE, atol=0.05)


def test_a_step_without_noise_is_the_equation() -> None:
    options = Langevin.Options(prior_rate=0.1, score_rate=0.3, noise=0.0, normalise=False, batch=1)
    prior = density()
    optimizer = Langevin(Problem(BOX, 0, density=lambda: prior), options)
    x = optimizer.ask().double()
    for _ in range(20):
        latents = optimizer.ask().clone().requires_grad_()
        score = -(latents - 1.0).square().sum(1)
        (gradient,) = torch.autograd.grad(score.sum(), latents)
        optimizer.tell(Evaluations(latents.detach(), score.detach().double(), None, gradient))
        variable = x.clone().requires_grad_()
        (pull,) = torch.autograd.grad(prior.log_density(variable).sum(), variable)
        climb = -2.0 * (x - 1.0)
        x = x + (0.1 * pull + 0.3 * climb) @ COVARIANCE  # a gradient in prior coordinates, brought back
        assert torch.allclose(optimizer.ask().double(), x, atol=1e-4)


@pytest.mark.parametrize("blind", [True, False])
def test_samples_the_frequencies_of_codes_where_the_score_is_flat(blind: bool) -> None:
    space = Categorical((2,), 3)
    bank = torch.tensor([[0, 2]] * 600 + [[1, 2]] * 300 + [[2, 0]] * 100)
    optimizer = Langevin(Problem(space, 0, bank=None if blind else bank), Langevin.Options(prior_rate=0.3, noise=None, batch=2000))
    start = optimizer.ask().argmax(-1)
    if not blind:
        assert bool((start[:, None] == torch.tensor([[0, 2], [1, 2], [2, 0]])).all(2).any(1).all()), "a start is no row of the bank"
    for _ in range(25):
        weights = optimizer.ask()
        optimizer.tell(Evaluations(weights, torch.zeros(2000).double(), None, torch.zeros_like(weights)))
    found = optimizer.ask().mean(0)
    # 20 pseudo-counts beside the 1000 rows
    expected = torch.full((2, 3), 1 / 3) if blind else torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.0, 0.9]])
    assert torch.allclose(found, expected, atol=0.04)


def test_climbs_a_table_of_codes() -> None:
    space = Categorical((6, 6), 16)
    table = torch.randn(6, 6, 16, generator=torch.Generator().manual_seed(1))
    optimizer = Langevin(Problem(space, 0), Langevin.Options(batch=4))
    for _ in range(150):
        weights = optimizer.ask()
        optimizer.tell(Evaluations(weights, (weights * table).flatten(1).sum(1).double(), None, table.expand_as(weights).clone()))
    best = float(table.max(-1).values.sum())
    assert float(table.gather(-1, optimizer.recommend()[..., None]).sum()) > 0.8 * best
