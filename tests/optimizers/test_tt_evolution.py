"""The tilted tensor train against its closed form."""

import itertools

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.testing import Landscape
from actmax.optimizers.tt_evolution import TTEvolution

SPACE = Categorical((2, 2), 3)


def told(problem: Problem, **options) -> TTEvolution:
    search = TTEvolution(problem, TTEvolution.Options(screen=40, batch=40, explore=0.0, ridge=1.0, **options))
    landscape = Landscape(problem.latent)
    latents = search.ask()
    search.tell(Evaluations(latents, landscape.score(latents)))
    return search


def whole(search: TTEvolution, n: int) -> torch.Tensor:
    """Draws at all positions."""
    rows, positions = torch.arange(n).repeat_interleave(4), torch.arange(4).repeat(n)
    return search._natural(n, rows, positions, positions).view(n, 4)


@pytest.mark.parametrize("blind", [False, True])
def test_draws_follow_the_density_times_the_tilt(blind):
    bank = None if blind else SPACE.sample(60, torch.Generator().manual_seed(3))
    search = told(Problem(SPACE, 0, 1000, bank), rank=2, smoothing=5.0, tilt=1.5)
    model = search._model
    assert model is not None
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    natural = search._train.log_likelihood(every).double()
    state = search.generator.get_state()
    share = float(torch.rand(1, generator=search.generator))
    search.generator.set_state(state)
    gains = model.of_codes(model.weights(0.0, search.generator))
    frequencies = torch.stack([torch.stack([natural.exp()[every[:, p] == c].sum() for c in range(3)]) for p in range(4)])
    deviation = ((frequencies * gains.square()).sum(1) - (frequencies * gains).sum(1).square()).sum().sqrt()
    score = gains[torch.arange(4), every].sum(1).double()
    expected = (natural + share * 1.5 / deviation * score).softmax(0)
    drawn = whole(search, 60_000)
    counts = torch.bincount((drawn * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81) / 60_000
    assert (counts - expected).abs().max() < 0.02


def test_without_tilt_it_draws_natural_codes():
    bank = SPACE.sample(60, torch.Generator().manual_seed(3))
    search = told(Problem(SPACE, 0, 1000, bank), rank=2, tilt=0.0)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    drawn = whole(search, 60_000)
    counts = torch.bincount((drawn * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81) / 60_000
    assert (counts - search._train.log_likelihood(every).exp()).abs().max() < 0.02


def test_boxes_are_refused():
    with pytest.raises(Unsuitable, match="tt-grid, thompson, sphere-cma or patch-evolution"):
        TTEvolution(Problem(Box((4,), -1, 1), 0), TTEvolution.Options())
