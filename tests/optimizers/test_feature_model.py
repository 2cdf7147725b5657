"""The model of features against Gaussian-process regression by the kernel that it stands for."""

import math

import pytest
import torch

from actmax.optimizers.feature_model import GROWTH, FeatureModel
from actmax.optimizers.feature_scales import Likelihood, Scales


def filled(size: int = 4, n_features: int = 4000, n: int = 40, seed: int = 0) -> FeatureModel:
    generator = torch.Generator().manual_seed(seed)
    model = FeatureModel(size, n_features, generator)
    rows = torch.randn(n, size, generator=generator)
    model.add(rows, 3 + rows[:, 0] - rows[:, 1] * rows[:, 2] + 0.1 * torch.randn(n, generator=generator))
    return model


def kernel(a: torch.Tensor, b: torch.Tensor, scales: Scales, relevance: torch.Tensor | None = None) -> torch.Tensor:
    """Pair by pair, as the docstrings say it."""
    weights = torch.ones(a.shape[1]) if relevance is None else relevance
    found = torch.empty(len(a), len(b), dtype=torch.float64)
    size = a.shape[1]
    for i, x in enumerate(a.double()):
        for j, y in enumerate(b.double()):
            products = sum(float(x[k] * x[m] * y[k] * y[m]) for k in range(size) for m in range(k + 1, size))
            squares = float(((x.square() - 1) * (y.square() - 1)).sum()) / 2
            wave = math.exp(-float((weights * (x - y)).square().sum()) / (2 * size) / (2 * scales.length**2))
            found[i, j] = (
                9
                + scales.linear**2 * float(x @ y) / size
                + scales.square**2 * squares / size
                + scales.product**2 * products / size**2
                + scales.wave**2 * wave
            )
    return found


def test_the_mean_is_that_of_a_gaussian_process():
    model = filled()
    at = torch.randn(6, 4, generator=torch.Generator().manual_seed(9))
    across, among = kernel(at, model.rows, model.scales, model.relevance), kernel(model.rows, model.rows, model.scales, model.relevance)
    assert model.warp == 0  # some scores are negative
    standard = (model.scores - model.scores.mean()) / model.scores.std(correction=0)
    noisy = among + model.scales.noise * torch.eye(len(model), dtype=torch.float64)
    expected = across @ torch.linalg.solve(noisy, standard)
    found = model.values(model.mean.expand(len(at), -1), at)
    assert torch.allclose(found.double(), expected, atol=0.1)


def test_draws_spread_as_the_posterior_does():
    model = filled(n_features=2000)
    at = torch.randn(3, 4, generator=torch.Generator().manual_seed(9))
    draws = model.draws(400, 1.0, torch.Generator().manual_seed(1))
    values = torch.stack([model.values(draws, row.expand(400, -1)) for row in at])
    across, among = kernel(at, model.rows, model.scales, model.relevance), kernel(model.rows, model.rows, model.scales, model.relevance)
    noisy = among + model.scales.noise * torch.eye(len(model), dtype=torch.float64)
    variance = kernel(at, at, model.scales, model.relevance).diagonal() - (across * torch.linalg.solve(noisy, across.T).T).sum(1)
    assert torch.allclose(values.std(1).double(), variance.sqrt(), rtol=0.25)
    assert torch.allclose(model.draws(5, 0.0, torch.Generator()), model.mean.expand(5, -1), atol=1e-4)


def test_the_likelihood_is_that_of_its_kernel():
    generator = torch.Generator().manual_seed(3)
    rows, scores, scales = torch.randn(12, 3, generator=generator), torch.randn(12, generator=generator).double(), Scales(length=0.7)
    likelihood = Likelihood(rows, pairs=True)
    for relevance in (torch.ones(3), torch.tensor([0.3, 1.0, 2.5])):
        likelihood.weigh(relevance)
        covariance = kernel(rows, rows, scales, relevance) + scales.noise * torch.eye(12, dtype=torch.float64)
        expected = torch.distributions.MultivariateNormal(torch.zeros(12, dtype=torch.float64), covariance).log_prob(scores)
        assert likelihood(scales, scores) == pytest.approx(float(expected) + 6 * math.log(2 * math.pi), abs=1e-3)


def test_a_coordinate_that_matters_more_is_told_from_others():
    generator = torch.Generator().manual_seed(0)
    model = FeatureModel(4, 300, generator)
    for _ in range(6):  # each time that the scales are chosen, one step
        rows = torch.randn(60, 4, generator=generator)
        model.add(rows, (4 * rows[:, 2]).sin())
    assert int(model.relevance.argmax()) == 2
    assert float(model.relevance[2] / model.relevance[[0, 1, 3]].max()) > 2
    other = FeatureModel(4, 300, torch.Generator())
    other.restore(model.state())
    assert torch.equal(other.relevance, model.relevance)


def test_what_cannot_be_solved_is_told():
    model = FeatureModel(2, 10, torch.Generator().manual_seed(0))
    model.add(torch.tensor([[0.0, 1.0], [torch.inf, 0.0]]), torch.tensor([1.0, 2.0]))
    with pytest.raises(ArithmeticError, match="not finite"):
        _ = model.mean


def test_noise_of_counts_is_found_and_warped():
    generator = torch.Generator().manual_seed(0)
    model = FeatureModel(3, 200, generator)
    rows = torch.randn(400, 3, generator=generator)
    model.add(rows, torch.poisson(30 * (-(rows.square().sum(1)) / 4).exp(), generator=generator))
    assert model.warp > 0
    assert model.scales.noise > 0.005


def test_the_climb_follows_the_gradient_of_values():
    model = filled(n_features=300)
    weights = model.draws(4, 1.0, torch.Generator().manual_seed(2))
    starts = torch.zeros(4, 4)
    low, high = torch.full((4,), -1.0), torch.full((4,), 1.0)
    ends = model.climb(weights, starts, 0.5, low, high, steps=40)
    assert bool((ends.norm(dim=1) <= 0.5 + 1e-5).all())
    assert bool((model.values(weights, ends) > model.values(weights, starts)).all())
    # no point of a dense sample of the ball is much better
    ball = torch.randn(4000, 4, generator=torch.Generator().manual_seed(4))
    ball = 0.5 * ball / ball.norm(dim=1, keepdim=True) * torch.rand(4000, 1, generator=torch.Generator().manual_seed(5)) ** 0.25
    for weight, end in zip(weights, ends, strict=True):
        best = model.values(weight.expand(4000, -1), ball).max()
        assert model.values(weight[None], end[None])[0] > best - 0.05


def test_a_restored_model_goes_on_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    model, other = filled(n_features=100, n=30), FeatureModel(4, 100, torch.Generator().manual_seed(77))
    for n in (5, 3, round(30 * GROWTH), 7):
        rows = torch.randn(n, 4, generator=generator)
        model.add(rows, rows.sum(1))
        other.restore(model.state())
        assert torch.equal(model.mean, other.mean)
        assert torch.equal(model.best(3), other.best(3))
    more = torch.randn(6, 4, generator=generator)
    model.add(more, more.sum(1))
    other.add(more, more.sum(1))
    assert torch.equal(model.mean, other.mean)
