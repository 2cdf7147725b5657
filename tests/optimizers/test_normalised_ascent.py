"""DGN-AM's update against a plain loop of it."""

import pytest
import torch

from actmax.models.densities import GaussianDensity
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.normalised_ascent import NormalisedAscent
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import Landscape, run

BOX = Box((5,), -4.0, 6.0)
MEAN = torch.tensor([0.5, -1.0, 0.0, 2.0, 5.0])
DEVIATION = torch.tensor([1.0, 0.2, 0.5, 0.7, 1.5])


@pytest.mark.parametrize("diagonal", [True, False])
def test_is_the_plain_loop_of_the_paper(diagonal: bool) -> None:
    factor = DEVIATION if diagonal else DEVIATION.diag()
    prior = GaussianDensity(BOX, MEAN, factor)
    optimizer = NormalisedAscent(Problem(BOX, 3, 200, density=lambda: prior), NormalisedAscent.Options(batch=1, step=0.2, restart="never"))
    peak = torch.tensor([3.0, -2.0, 1.0, -3.0, 9.0])
    x = optimizer.ask()[0].double()
    size = DEVIATION.double().square().sum().sqrt()
    lengths = torch.linspace(1.0, 1e-10, 200).double() * 0.2 * size
    for length in lengths:
        latents = optimizer.ask()
        assert torch.allclose(latents[0].double(), x, atol=1e-4)
        gradient = -2.0 * (latents - peak)
        optimizer.tell(Evaluations(latents, -(latents - peak).square().sum(1).double(), None, gradient))
        slope = -2.0 * (x - peak)
        x = x + length * slope / slope.norm()
        x = MEAN + 0.99 * (x - MEAN)
        x = torch.maximum(torch.minimum(x, MEAN + 3 * DEVIATION), MEAN - 3 * DEVIATION).clamp(-4.0, 6.0)


def test_blind_reaches_every_corner_of_the_box() -> None:
    space = Box((4,), 1.0, 3.0)
    optimizer = NormalisedAscent(Problem(space, 0), NormalisedAscent.Options(decay=1.0))
    for _ in range(60):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, latents.sum(1).double(), None, torch.ones_like(latents)))
    assert torch.equal(optimizer.recommend(), torch.full((4,), 3.0))


def test_an_ascent_that_is_over_begins_again_with_long_steps() -> None:
    space = Box((4,), -1.0, 1.0)
    optimizer = NormalisedAscent(Problem(space, 0, 1000), NormalisedAscent.Options(steps=10, batch=2, restart="natural"))
    asked = torch.stack([one.latents for one in run(optimizer, Landscape(space), 21)])
    moves = (asked[1:] - asked[:-1]).flatten(2).norm(dim=2)
    assert bool((moves.amax(1)[[9, 19]] > 0.2).all()), "no new start after ten steps"
    assert bool((moves[8] < 0.3 * moves[0]).all())


def test_finds_the_best_codes() -> None:
    space = Categorical((6, 6), 16)
    landscape = Landscape(space, seed=1)
    optimizer = NormalisedAscent(Problem(space, 0, 400), NormalisedAscent.Options())
    run(optimizer, landscape, 100)
    best = landscape._table.max(-1).values.mean()
    assert float(landscape.score(optimizer.recommend()[None])) > 0.95 * float(best)
