from itertools import pairwise

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.adam import Adam
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import Landscape, run


def test_asks_weights_of_real_codes() -> None:
    space = Categorical((3, 2), 7)
    optimizer = Adam(Problem(space, 0), Adam.Options(noise=1.0))
    for told in run(optimizer, Landscape(space), 5):
        assert told.latents.shape == (4, 3, 2, 7)
        assert torch.equal(told.latents.sort(-1).values[..., -1], torch.ones(4, 3, 2))
        assert torch.equal(told.latents.sum(-1), torch.ones(4, 3, 2))


def test_finds_the_best_code_of_every_position() -> None:
    space = Categorical((8, 8), 64)
    landscape = Landscape(space, seed=1)
    optimizer = Adam(Problem(space, 0), Adam.Options(batch=1))
    run(optimizer, landscape, 60)
    assert torch.equal(optimizer.recommend(), landscape._table.argmax(-1))


def test_starts_at_latents_of_the_bank_and_stays_in_the_box() -> None:
    space = Box((3,), -1.0, 1.0)
    bank = space.sample(20, torch.Generator().manual_seed(0))
    optimizer = Adam(Problem(space, 0, bank=bank), Adam.Options(learning_rate=0.7))
    for row in optimizer.ask():
        assert (bank == row).all(1).any()
    for _ in range(5):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, torch.zeros(4).double(), None, torch.ones(4, 3)))
    assert torch.equal(optimizer.ask(), torch.ones(4, 3))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_scale_of_the_response_does_not_matter(scale: float) -> None:
    space = Box((4,), -1.0, 1.0)
    landscape = Landscape(space)
    optimizer = Adam(Problem(space, 0), Adam.Options())
    for _ in range(100):
        told = landscape.evaluate(optimizer.ask(), True)
        assert told.gradients is not None
        optimizer.tell(Evaluations(told.latents, told.scores * scale, None, told.gradients * scale))
    assert float(landscape.score(optimizer.recommend()[None])) > -1e-3


def test_the_cosine_schedule_ends_at_rest() -> None:
    space = Box((4,), -1.0, 1.0)
    optimizer = Adam(Problem(space, 0, evaluations=40), Adam.Options(schedule="cosine"))
    asked = [one.latents for one in run(optimizer, Landscape(space), 11)]
    steps = [float((b - a).abs().max()) for a, b in pairwise(asked)]
    assert steps[-1] < 0.1 * max(steps)


def test_refuses_answers_without_gradients() -> None:
    optimizer = Adam(Problem(Box((4,), -1.0, 1.0), 0), Adam.Options())
    with pytest.raises(ValueError, match="needs the gradient"):
        optimizer.tell(Evaluations(optimizer.ask(), torch.zeros(4).double()))
