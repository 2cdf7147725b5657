"""The Gaussian process against the textbook's formulas."""

import pytest
import torch

from actmax.optimizers.gaussian_process import JITTER, GaussianProcess


def data(n: int, d: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, d, generator=generator) / (2 * d) ** 0.5
    scores = torch.sin(3 * features.double().sum(1)) + 0.05 * torch.randn(n, generator=generator, dtype=torch.float64)
    return features, scores


def fitted(n: int = 60, d: int = 3, batch: int = 7) -> GaussianProcess:
    features, scores = data(n, d)
    model = GaussianProcess()
    for start in range(0, n, batch):
        model.add(features[start : start + batch], scores[start : start + batch])
    return model


def kernel(model: GaussianProcess, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.exp(-(torch.cdist(a.double(), b.double()) ** 2) / (2 * model.length**2))


def direct(model: GaussianProcess, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rasmussen and Williams, equations 2.25 and 2.26."""
    standard = model._standard.double()
    full = kernel(model, model.features, model.features) + (model.noise + JITTER) * torch.eye(len(model))
    across = kernel(model, at, model.features)
    mean = across @ torch.linalg.solve(full, standard)
    variance = 1 - (across * torch.linalg.solve(full, across.T).T).sum(1)
    return mean.float(), variance.clamp(min=0).sqrt().float()


@pytest.mark.parametrize(("n", "d", "batch"), [(60, 3, 7), (100, 10, 20), (5, 1, 1)])
def test_the_posterior_is_the_textbooks(n, d, batch):
    model = fitted(n, d, batch)
    at = data(11, d, seed=1)[0]
    mean, deviation = model.posterior(at)
    expected_mean, expected_deviation = direct(model, at)
    assert torch.allclose(mean, expected_mean, atol=5e-3)
    assert torch.allclose(deviation, expected_deviation, atol=2e-2)
    assert torch.allclose(model.mean(at), mean, atol=1e-4)
    assert torch.allclose(model.fitted_mean(), direct(model, model.features)[0], atol=5e-3)


def test_the_gradient_is_that_of_the_mean():
    model = fitted()
    at = data(5, 3, seed=2)[0].requires_grad_()
    (expected,) = torch.autograd.grad((kernel(model, at, model.features) @ model._weights.double()).sum(), at)
    assert torch.allclose(model.gradient(at.detach()), expected, atol=1e-3)


def test_a_factor_grown_in_parts_is_that_of_the_whole():
    model = fitted(batch=1)
    grown = model._factor.clone()
    model._factorise()
    assert torch.allclose(grown, model._factor, atol=2e-3)


def test_noise_and_length_are_found():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(300, 1, generator=generator) * 4
    clean = torch.sin(2 * features[:, 0].double())
    model = GaussianProcess()
    model.add(features, clean)
    assert model.noise <= 0.01
    assert 0.25 <= model.length <= 4
    noisy = GaussianProcess()
    noisy.add(features, clean + torch.randn(300, generator=generator, dtype=torch.float64))
    assert noisy.noise >= 0.3


def test_spike_counts_whose_noise_grows_are_warped():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(300, 1, generator=generator) * 4
    model = GaussianProcess()
    model.add(features, torch.poisson(torch.exp(1.2 * features[:, 0]), generator=generator).double())
    assert model.warp > 0


def test_forgetting_leaves_the_model_of_the_rest():
    model = fitted()
    kept = torch.arange(0, 60, 2)
    model.keep(kept)
    at = data(4, 3, seed=3)[0]
    assert torch.allclose(model.mean(at), direct(model, at)[0], atol=5e-3)


FAINT = torch.full((10,), 1e-200, dtype=torch.float64).cumsum(0)
"""Whose squares are zero."""


@pytest.mark.parametrize("scores", [torch.zeros(10), torch.full((10,), 3.0), FAINT, torch.arange(10) * 1e9])
def test_strange_scores_make_no_strange_model(scores):
    model = GaussianProcess()
    features = data(10, 3)[0]
    model.add(features[:5].repeat(2, 1), scores.double())  # every latent twice
    mean, deviation = model.posterior(features)
    assert mean.isfinite().all()
    assert deviation.isfinite().all()
