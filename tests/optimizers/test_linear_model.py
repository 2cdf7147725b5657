import numpy as np
import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.linear_model import LinearModel
from actmax.optimizers.optimizer import Problem


def of(problem: Problem, ridge: float = 10.0) -> LinearModel:
    model = LinearModel.of(problem, ridge)
    assert model is not None
    return model


def test_its_mean_is_ridge_regression() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(40, 6, generator=generator)
    scores = (rows @ torch.arange(6.0)).double() + 0.1 * torch.randn(40, generator=generator).double()
    model = of(Problem(Box((2, 3), 0.0, 1.0), 0), ridge=3.0)
    for part in range(4):
        model.add(rows[part * 10 : part * 10 + 10], scores[part * 10 : part * 10 + 10])
    model.add(rows[:1], torch.tensor([torch.nan]).double())
    features = (rows.numpy() - 0.5) / 0.5
    features = np.concatenate([features, features**2], 1)
    centred = features - features.mean(0)
    stacked = np.concatenate([centred, np.sqrt(3.0) * np.eye(12)])
    weights = np.linalg.lstsq(stacked, np.concatenate([scores.numpy() - scores.numpy().mean(), np.zeros(12)]), rcond=None)[0]
    predicted = model.sample(rows, 0.0, generator).numpy()
    assert np.allclose(predicted - predicted.mean(), centred @ weights, atol=1e-4)


def test_its_draws_spread_as_the_posterior_does() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(60, 3, generator=generator)
    scores = (rows[:, 0] + torch.randn(60, generator=generator)).double()
    model = of(Problem(Box((3,), 0.0, 1.0), 0), ridge=2.0)
    model.add(rows, scores)
    draws = torch.stack([model.sample(rows, 1.0, generator) for _ in range(3000)]).double()
    features = ((rows - 0.5) / 0.5).double()
    features = torch.cat([features, features.square()], 1)
    centred = features - features.mean(0)
    precision = centred.T @ centred + 2.0 * torch.eye(6)
    weights = torch.linalg.solve(precision, centred.T @ (scores - scores.mean()))
    unexplained = (scores.var(correction=0) - (centred.T @ (scores - scores.mean())) @ weights / 60).item()
    expected = (features @ torch.linalg.inv(precision) @ features.T).diagonal() * unexplained
    assert torch.allclose(draws.var(0), expected, rtol=0.15)


def test_codes_are_known_by_their_vectors() -> None:
    space = Categorical((4, 4), 50)
    vectors = torch.randn(50, 20, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -2, 20)
    model = of(Problem(space, 0, code_vectors=vectors))
    slope = torch.zeros(20)
    slope[0] = 1.0  # by far the widest direction, the first component
    rows = space.sample(400, torch.Generator().manual_seed(1)).flatten(1)
    scores = (vectors[rows[:, 5]] @ slope).double()
    model.add(rows, scores)
    fresh = space.sample(200, torch.Generator().manual_seed(2)).flatten(1)
    predicted = model.sample(fresh, 0.0, torch.Generator())
    assert np.corrcoef(predicted.numpy(), (vectors[fresh[:, 5]] @ slope).numpy())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("problem", "modelled"),
    [
        (Problem(Box((256,), 0.0, 1.0), 0), True),
        (Problem(Box((257,), 0.0, 1.0), 0), False),
        (Problem(Categorical((32,), 16), 0), True),
        (Problem(Categorical((8, 8), 512), 0), False),
        (Problem(Categorical((8, 8), 512), 0, code_vectors=torch.eye(512)), True),
        (Problem(Categorical((40, 40), 512), 0, code_vectors=torch.eye(512)), False),
    ],
)
def test_only_what_is_small_is_modelled(problem: Problem, modelled: bool) -> None:
    assert (LinearModel.of(problem, 10.0) is not None) == modelled
