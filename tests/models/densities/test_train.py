import itertools
import json
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actmax.models.densities import train as tt
from actmax.models.densities.diagonal import DiagonalTrain

REFERENCE = json.loads((Path(__file__).parent / "protes_reference.json").read_text())


def stacked(cores: list) -> Tensor:
    """The reference's (1, n, r), (d - 2, r, n, r) and (r, n, 1) as one tensor of cores."""
    left, middle, right = (torch.tensor(core) for core in cores)
    d, (r, n) = middle.shape[0] + 2, right.shape[:2]
    whole = torch.zeros(d, r, n, r)
    whole[0, :1], whole[1:-1], whole[-1, :, :, :1] = left, middle, right
    return whole


def every_index(modes: int, size: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=modes)))


def value(cores: Tensor, index: list[int]) -> float:
    """Entry of the train by plain matrix products, in double precision."""
    row = torch.zeros(1, cores.shape[1], dtype=torch.float64)
    row[0, 0] = 1.0
    for core, i in zip(cores.double(), index, strict=True):
        row = row @ core[:, i]
    return float(row[0, 0])


def test_likelihood_is_that_of_the_protes_package() -> None:
    expected = torch.tensor(REFERENCE["log_likelihood"])
    torch.testing.assert_close(
        tt.log_likelihood(stacked(REFERENCE["cores"]), torch.tensor(REFERENCE["indices"])), expected, rtol=1e-4, atol=1e-4
    )


def test_learning_is_that_of_the_protes_package() -> None:
    cores, indices = stacked(REFERENCE["cores"]).requires_grad_(), torch.tensor(REFERENCE["indices"])
    adam = torch.optim.Adam([cores], lr=0.05)
    for _ in range(3):
        adam.zero_grad()
        (-tt.log_likelihood(cores, indices).mean()).backward()
        adam.step()
    torch.testing.assert_close(cores.detach(), stacked(REFERENCE["after_three_steps"]), rtol=1e-3, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(modes=st.integers(1, 5), size=st.integers(2, 4), rank=st.integers(1, 4), seed=st.integers(0, 1000))
def test_a_positive_train_is_its_own_likelihood(modes: int, size: int, rank: int, seed: int) -> None:
    cores = tt.random_train(modes, size, rank, torch.Generator().manual_seed(seed))
    indices = every_index(modes, size)
    entries = torch.tensor([value(cores, index) for index in indices.tolist()])
    torch.testing.assert_close(tt.log_likelihood(cores, indices).exp(), (entries / entries.sum()).float(), rtol=1e-4, atol=1e-6)


def test_samples_come_as_often_as_they_are_likely() -> None:
    generator = torch.Generator().manual_seed(0)
    cores = tt.random_train(4, 3, 2, generator) - 0.2
    indices = every_index(4, 3)
    expected = tt.log_likelihood(cores, indices).exp()
    torch.testing.assert_close(expected.sum(), torch.tensor(1.0))
    n = 200_000
    drawn = tt.sample(cores, n, generator) @ torch.tensor([27, 9, 3, 1])
    observed = torch.bincount(drawn, minlength=81) / n
    # five standard errors of a frequency
    assert bool(((observed - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-6).all())


def mixture(n: int, generator: torch.Generator) -> Tensor:
    """Two clusters over 6 modes of 5: one near all 0, one near all 3."""
    centres = torch.tensor([0, 3])[torch.randint(2, (n, 1), generator=generator)].expand(n, 6)
    return torch.where(torch.rand(n, 6, generator=generator) < 0.8, centres, torch.randint(5, (n, 6), generator=generator))


def test_the_fitted_train_is_likelier_on_new_data_than_a_product_or_a_uniform() -> None:
    generator = torch.Generator().manual_seed(1)
    data, fresh = mixture(400, generator), mixture(400, generator)
    scores = [float(tt.log_likelihood(DiagonalTrain.fit(data, 5, rank, generator, smoothing=5.0).cores(), fresh).mean()) for rank in (2, 1)]
    uniform = -6 * float(torch.tensor(5.0).log())
    assert scores[0] > scores[1] + 1.0 > uniform + 1.5


def test_a_product_fit_has_the_smoothed_frequencies_of_its_data() -> None:
    data = torch.tensor([[0, 1], [0, 2], [0, 1], [1, 1]])
    cores = DiagonalTrain.fit(data, 3, 1, torch.Generator().manual_seed(0), smoothing=1e-9).cores()
    likelihood = tt.log_likelihood(cores, every_index(2, 3)).exp().view(3, 3)
    expected = torch.tensor([0.75, 0.25, 0.0])[:, None] * torch.tensor([0.0, 0.75, 0.25])
    torch.testing.assert_close(likelihood, expected, atol=1e-5, rtol=1e-4)


def test_any_number_of_modes_can_be_fitted() -> None:
    generator = torch.Generator().manual_seed(0)
    for modes in (1, 2, 3):
        data = torch.randint(4, (50, modes), generator=generator)
        cores = DiagonalTrain.fit(data, 4, 3, generator, smoothing=1.0).cores()
        torch.testing.assert_close(tt.log_likelihood(cores, every_index(modes, 4)).exp().sum(), torch.tensor(1.0))
        assert tt.sample(cores, 7, generator).shape == (7, modes)
