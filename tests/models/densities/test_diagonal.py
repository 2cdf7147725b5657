"""Diagonal trains against general ones and closed forms."""

import itertools

import pytest
import torch

from actmax.models.densities import train as tt
from actmax.models.densities.diagonal import DiagonalTrain


def fitted(modes: int = 4, size: int = 3, components: int = 2) -> DiagonalTrain:
    generator = torch.Generator().manual_seed(0)
    data = torch.randint(size, (50, modes), generator=generator)
    return DiagonalTrain.fit(data, size, components, generator, smoothing=1.0)


def every_index(modes: int = 4, size: int = 3) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=modes)))


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_its_likelihood_is_that_of_its_cores(modes: int) -> None:
    train = fitted(modes)
    every = every_index(modes)
    torch.testing.assert_close(train.log_likelihood(every), tt.log_likelihood(train.cores(), every), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(train.log_likelihood(every).exp().sum(), torch.tensor(1.0))


def test_a_tilt_multiplies() -> None:
    train, every = fitted(), every_index()
    gains = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    expected = (train.log_likelihood(every) + gains[torch.arange(4), every].sum(1)).log_softmax(0)
    torch.testing.assert_close(train.tilted(gains).log_likelihood(every), expected, rtol=1e-4, atol=1e-4)


def test_draws_come_as_often_as_they_are_likely() -> None:
    train, n = fitted(), 200_000
    drawn = train.sample(n, torch.Generator().manual_seed(2)) @ torch.tensor([27, 9, 3, 1])
    observed, expected = torch.bincount(drawn, minlength=81) / n, train.log_likelihood(every_index()).exp()
    # five standard errors of a frequency
    assert bool(((observed - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-6).all())


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9])
def test_every_value_is_found(size: int) -> None:
    tables = torch.rand(1, 1, size, generator=torch.Generator().manual_seed(size)) + 0.1
    drawn = DiagonalTrain(torch.zeros(1), tables).sample(50_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.bincount(drawn[:, 0], minlength=size) / 50_000, (tables / tables.sum())[0, 0], atol=0.015, rtol=0)


def test_frequencies_are_the_margins() -> None:
    train, every = fitted(), every_index()
    likelihood = train.log_likelihood(every).exp()
    expected = torch.stack([torch.stack([likelihood[every[:, p] == value].sum() for value in range(3)]) for p in range(4)])
    torch.testing.assert_close(train.frequencies(), expected, rtol=1e-4, atol=1e-5)
