"""Densities of natural latents, against closed forms."""

import pytest
import torch

from actmax.models.densities import Density, GaussianDensity, ProductsDensity, fit_density
from actmax.models.spaces import Box, Categorical


def correlated(m: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(size) * 0.3 + 0.2 * torch.randn(size, size, generator=generator) / size**0.5
    return torch.randn(m, size, generator=generator) @ mixing + 0.1


def test_a_gaussian_finds_mean_and_covariance():
    rows = correlated(20_000, 6)
    density = GaussianDensity.fit(Box((2, 3), -3, 3), rows.view(-1, 2, 3))
    white = density.whiten(rows.view(-1, 2, 3))
    assert torch.allclose(white.mean(0), torch.zeros(6), atol=1e-3)
    assert torch.allclose(torch.cov(white.T), torch.eye(6), atol=0.02)
    assert torch.allclose(density.colour(white).flatten(1), rows, atol=1e-4)
    exact = torch.distributions.MultivariateNormal(rows.mean(0), torch.cov(rows.T)).log_prob(rows[:50])
    found = density.log_density(rows[:50].view(-1, 2, 3))
    assert torch.allclose(found - found[0], exact - exact[0], atol=0.1)


def test_the_gradient_of_a_gaussian_leads_to_its_mean():
    density = GaussianDensity.fit(Box((6,), -3, 3), correlated(500, 6))
    latents = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (gradient,) = torch.autograd.grad(density.log_density(latents).sum(), latents)
    covariance = density.factor @ density.factor
    assert torch.allclose((gradient.double() @ covariance), density.mean - latents.double(), atol=1e-4)


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 40, 1500])
def test_few_samples_still_make_a_density(m, size):
    box = Box((size,), -1, 1)
    density = fit_density(box, correlated(m, size).clamp(-1, 1))
    drawn = density.sample(7, torch.Generator().manual_seed(0))
    box.check(drawn)
    assert density.log_density(drawn).isfinite().all()


def test_codes_get_the_frequencies_of_their_position():
    space = Categorical((2, 2), 5)
    bank = torch.tensor([[[0, 1], [2, 3]]]).repeat(400, 1, 1)
    bank[:100, 0, 0] = 4
    density = ProductsDensity.fit(space, bank, components=1, smoothing=1e-3)
    drawn = density.sample(4000, torch.Generator().manual_seed(0))
    space.check(drawn)
    assert abs((drawn[:, 0, 0] == 4).float().mean() - 0.25) < 0.03
    assert torch.allclose(density.log_density(bank[[0, 399]]).exp(), torch.tensor([0.25, 0.75]), atol=1e-3)


def test_every_density_keeps_the_contract():
    assert isinstance(fit_density(Box((3,), -1, 1), torch.zeros(2, 3)), Density)
    assert isinstance(fit_density(Categorical((3,), 4), torch.zeros(2, 3, dtype=torch.long)), Density)
