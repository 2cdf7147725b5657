import pytest
import torch
from pydantic import ValidationError

from actmax.models.densities import train as tt
from actmax.models.densities.diagonal import DiagonalTrain
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Problem
from actmax.optimizers.protes import Protes, descent, scaled_tables
from actmax.optimizers.testing import Landscape, run


def test_published_settings_reach_the_peak_of_a_separable_function() -> None:
    space = Categorical((7,), 8)
    landscape = Landscape(space, seed=2)
    optimizer = Protes(Problem(space, 0), Protes.Options())
    assert optimizer.ask().shape == (100, 7)
    run(optimizer, landscape, 150)
    codes = torch.cartesian_prod(*[torch.arange(8)] * 7)
    best = max(float(landscape.score(part).max()) for part in codes.split(200_000))
    assert float(landscape.score(optimizer.recommend()[None])) >= best - 0.05


def test_learning_makes_the_elite_likelier() -> None:
    space = Categorical((4, 4), 6)
    optimizer = Protes(Problem(space, 0), Protes.Options(batch=50, top=5, steps=5))
    cores = optimizer._parameters.detach().clone()
    told = run(optimizer, Landscape(space), 1)[0]
    elite = told.latents[told.scores.argsort(descending=True)[:5]].flatten(1)
    assert float(tt.log_likelihood(optimizer._parameters.detach(), elite).mean()) > float(tt.log_likelihood(cores, elite).mean()) + 1.0


def test_a_diagonal_train_learns_by_the_slope_of_its_cores() -> None:
    generator = torch.Generator().manual_seed(0)
    train = DiagonalTrain.fit(torch.randint(4, (30, 5), generator=generator), 4, 3, generator, smoothing=2.0)
    rows = torch.randint(4, (6, 5), generator=generator)
    cores = train.cores().requires_grad_()
    (slope,) = torch.autograd.grad(-tt.log_likelihood(cores, rows).mean(), cores)
    found = descent(scaled_tables(train), rows)
    each = torch.arange(3)
    torch.testing.assert_close(found[1:-1], slope[1:-1, each, :, each].transpose(0, 1), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[0], slope[0, 0].T, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[-1], slope[-1, :, :, 0], rtol=1e-3, atol=1e-5)


def test_a_natural_start_samples_natural_codes() -> None:
    space = Categorical((3, 3), 50)
    bank = torch.randint(10, (200, 3, 3), generator=torch.Generator().manual_seed(0))
    optimizer = Protes(Problem(space, 0, bank=bank), Protes.Options(smoothing=5.0, screen=0))
    assert float((optimizer.ask() < 10).double().mean()) > 0.8


def test_looks_at_the_bank_first() -> None:
    space = Categorical((6, 6), 40)
    bank = space.sample(100, torch.Generator().manual_seed(0))
    optimizer = Protes(Problem(space, 0, 500, bank), Protes.Options())
    first = torch.cat([one.latents for one in run(optimizer, Landscape(space), 3)])
    assert len(first) == 50
    assert all((bank == row).flatten(1).all(1).any() for row in first)


def test_crossover_changes_one_patch_of_a_member_of_the_elite() -> None:
    space = Categorical((6, 6), 40)
    bank = space.sample(100, torch.Generator().manual_seed(0))
    optimizer = Protes(Problem(space, 0, bank=bank), Protes.Options(crossover=1.0, patch=2, top=1, screen=0))
    run(optimizer, Landscape(space), 1)
    best, changed = optimizer.recommend(), 0
    for child in optimizer.ask():
        rows, columns = (child != best).nonzero(as_tuple=True)
        changed += len(rows)
        if len(rows):
            assert int(rows.max() - rows.min()) < 2
            assert int(columns.max() - columns.min()) < 2
    assert changed > 0


def test_a_box_is_searched_at_the_middles_of_its_bins() -> None:
    optimizer = Protes(Problem(Box((3,), 0.0, 8.0), 0), Protes.Options(levels=4))
    assert set(optimizer.ask().flatten().tolist()) == {1.0, 3.0, 5.0, 7.0}


def test_refuses_more_elite_than_samples() -> None:
    with pytest.raises(ValidationError, match="more than the batch"):
        Protes.Options(batch=5, top=6)
