import itertools
from typing import ClassVar

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.square import SquareAttack
from actmax.optimizers.testing import OptimizerContract

BOX = Box((3, 12, 16), -1.0, 1.0)


class TestContract(OptimizerContract):
    optimizer = SquareAttack
    problems: ClassVar = [
        Problem(box, 3, evaluations, bank)
        for box in (BOX, Box((2, 9), -0.3, 2.0))
        for evaluations in (None, 200)
        for bank in (None, box.sample(30, torch.Generator().manual_seed(1)))
    ]


class TestContractInBatchesFromTheBank(TestContract):
    options: ClassVar = {"batch": 4, "start": "natural"}


def tell(optimizer: SquareAttack, score: float) -> torch.Tensor:
    latents = optimizer.ask()
    optimizer.tell(Evaluations(latents, torch.full((len(latents),), score).double()))
    return latents[0]


def test_begins_at_vertical_stripes() -> None:
    latent = tell(SquareAttack(Problem(BOX, 0, 100), SquareAttack.Options()), 0.0)
    assert set(latent.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(latent, latent[:, :1].expand_as(latent))
    assert not torch.equal(latent[..., :-1], latent[..., 1:])


def test_begins_at_a_natural_latent() -> None:
    bank = BOX.sample(5, torch.Generator().manual_seed(1))
    latent = tell(SquareAttack(Problem(BOX, 0, 100, bank), SquareAttack.Options(start="natural")), 0.0)
    assert bool((bank == latent).flatten(1).all(1).any())


def test_changes_one_square_of_one_colour_and_keeps_what_is_better() -> None:
    optimizer = SquareAttack(Problem(BOX, 0, 10_000), SquareAttack.Options(share=0.05))
    best = tell(optimizer, 0.0)
    side = round((0.05 * 12 * 16) ** 0.5)
    for number in range(9):
        latent = tell(optimizer, 1.0 + number if number % 2 else -1.0)
        changed = (latent != best).any(0).nonzero()
        extent = changed.amax(0) - changed.amin(0) + 1
        assert 0 < len(changed) <= side * side
        assert bool((extent <= side).all())
        for channel in range(3):
            assert len(latent[channel][(latent != best)[channel]].unique()) <= 1
        best = latent if number % 2 else best
        assert torch.equal(optimizer.recommend(), best)


def test_drifts_where_scores_are_equal() -> None:
    optimizer = SquareAttack(Problem(BOX, 0, 10_000), SquareAttack.Options(share=0.05))
    latents = [tell(optimizer, 0.0) for _ in range(10)]
    assert torch.equal(optimizer.recommend(), latents[0])
    for before, after in itertools.pairwise(latents):
        changed = (before != after).any(0).nonzero()
        assert bool((changed.amax(0) - changed.amin(0) < round((0.05 * 12 * 16) ** 0.5)).all())
    assert len((latents[0] != latents[-1]).any(0).nonzero()) > 3 * round(0.05 * 12 * 16)


def test_squares_shrink_as_published() -> None:
    optimizer = SquareAttack(Problem(BOX, 0, 1000), SquareAttack.Options(share=0.8))
    shares = []
    for _ in range(1000):
        shares.append(optimizer.share)
        tell(optimizer, 0.0)
    halved = [number for number in range(1, 1000) if shares[number] < shares[number - 1]]
    assert halved == [2, 6, 21, 51, 101, 201, 401, 601, 801]
    assert shares[-1] == pytest.approx(0.8 / 2**9)


def test_climbs_where_the_best_is_a_corner() -> None:
    peak = torch.ones(BOX.shape)
    peak[:, 4:9, 2:11] = -1
    optimizer = SquareAttack(Problem(BOX, 0, 1000), SquareAttack.Options())
    for _ in range(1000):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, -(latents - peak).abs().flatten(1).mean(1).double() / 2))
    assert float((optimizer.recommend() == peak).float().mean()) > 0.9


@pytest.mark.parametrize("space", [Categorical((3, 3), 4), Box((6,), 0.0, 1.0), Box((2, 3, 4, 4), 0.0, 1.0)])
def test_refuses_what_is_no_map(space: Box | Categorical) -> None:
    with pytest.raises(Unsuitable, match=r"cma|protes"):
        SquareAttack(Problem(space, 0), SquareAttack.Options())
