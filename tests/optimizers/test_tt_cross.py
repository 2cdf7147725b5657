import pytest
import torch
from pydantic import ValidationError

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.patches import patches
from actmax.optimizers.testing import Landscape, run
from actmax.optimizers.tt_cross import TTCross, draw_palette, half_sweep


@pytest.mark.parametrize("seed", range(4))
def test_one_half_sweep_at_rank_1_finds_the_peak_of_a_separable_function(seed: int) -> None:
    # with every code in the palette each mode's best value doesn't depend on the others'
    space = Categorical((10,), 6)
    bank = torch.arange(6)[:, None].expand(6, 10)
    landscape = Landscape(space, seed=seed)
    optimizer = TTCross(Problem(space, seed, bank=bank), TTCross.Options(rank=1, levels=64, batch=1000))
    told = run(optimizer, landscape, 11)
    table = landscape._table
    torch.testing.assert_close(landscape.score(optimizer.recommend()[None])[0], table.max(1).values.mean())
    assert sum(len(one.latents) for one in told) <= 128 + 64 * 10


def test_rank_2_finds_what_no_single_change_does() -> None:
    # two peaks; between them every path over single changes falls
    space = Categorical((6,), 4)

    def score(latents: torch.Tensor) -> torch.Tensor:
        return torch.maximum((latents == 1).double().mean(1), 1.3 * (latents == 2).double().mean(1) - 0.1)

    bank = torch.cat([torch.full((4, 6), code) for code in range(4)])
    bank[:, 0] = torch.arange(4).repeat(4)
    optimizer = TTCross(Problem(space, 0, bank=bank), TTCross.Options(rank=2, levels=16))
    for _ in range(30):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, score(latents)))
    assert optimizer.recommend().tolist() == [2] * 6


def test_nothing_is_asked_twice_in_a_round() -> None:
    space = Categorical((8,), 30)
    optimizer = TTCross(Problem(space, 0), TTCross.Options(rank=2, levels=5, batch=10_000, screen=10))
    told = torch.cat([one.latents for one in run(optimizer, Landscape(space), 15)])
    assert len(told.unique(dim=0)) == len(told)


def test_a_half_sweep_costs_what_it_says() -> None:
    space = Box((12,), -1.0, 1.0)
    optimizer = TTCross(Problem(space, 0), TTCross.Options(rank=3, levels=4, screen=20, batch=10_000))
    told = run(optimizer, Landscape(space), 13)
    asked = sum(len(one.latents) for one in told[1:])
    # what was just answered is left out: less than the grid, more than a grid of new values alone
    assert half_sweep(12, 4, 3) * 0.3 < asked < half_sweep(12, 4, 3)


def test_says_by_how_much_the_evaluations_fall_short() -> None:
    with pytest.raises(Unsuitable, match=r"needs \d+ evaluations .* may expect 3000"):
        TTCross(Problem(Box((4096,), -3.0, 3.0), 0, 3000), TTCross.Options(patch=1))
    with pytest.raises(Unsuitable, match="16 values at rank 4"):
        TTCross(Problem(Categorical((8, 8), 512), 0, 3000), TTCross.Options(rank=4, levels=16, patch=1))


def test_joins_positions_where_there_are_too_many_for_the_evaluations() -> None:
    space = Box((4096,), -3.0, 3.0)
    optimizer = TTCross(Problem(space, 0, 3000), TTCross.Options())
    assert 2 * optimizer.modes * 2 <= 3000
    landscape = Landscape(space)
    first = landscape.score(optimizer.ask()).max()
    run(optimizer, landscape, 40)
    assert landscape.score(optimizer.recommend()[None])[0] > first


def test_refuses_a_rank_that_its_levels_cannot_hold() -> None:
    with pytest.raises(ValidationError, match="needs more levels"):
        TTCross.Options(rank=4, levels=4)


def test_patches_tile_any_shape() -> None:
    assert patches((4, 6), 2).view(4, 6).tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert patches((5,), 2).tolist() == [0, 0, 1, 1, 2]
    assert patches((2, 2), 9).tolist() == [0] * 4


def test_a_palette_takes_whole_patches_from_the_bank() -> None:
    generator = torch.Generator().manual_seed(0)
    space, bank = Categorical((4, 4), 100), torch.arange(100)[:, None].expand(100, 16)
    number = patches((4, 4), 2)
    palette = draw_palette(space, number, 9, bank[:2], bank, 0.1, generator)
    assert palette.shape == (9, 16)
    assert torch.equal(palette[:2], bank[:2])
    for patch in range(4):
        assert all(len(set(row.tolist())) == 1 for row in palette[:, number == patch])
    assert any(len(set(row.tolist())) == 4 for row in palette[2:])
