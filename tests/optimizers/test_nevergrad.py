import warnings

import pytest
import torch
from pydantic import ValidationError

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.nevergrad import Nevergrad
from actmax.optimizers.optimizer import Problem, Unsuitable
from actmax.optimizers.testing import Landscape, run


def test_names_the_near_ones_of_a_wrong_name() -> None:
    with pytest.raises(ValidationError, match="DiagonalCMA"):
        Nevergrad.Options(optimizer="DiagonlCMA")


def test_starts_at_latents_of_the_bank() -> None:
    space = Categorical((5,), 40)
    bank = space.sample(30, torch.Generator().manual_seed(0))
    optimizer = Nevergrad(Problem(space, 0, 200, bank), Nevergrad.Options(batch=10, screen=10))
    for row in optimizer.ask():
        assert (bank == row).all(1).any()


def test_a_bank_that_repeats_itself_does_not_stop_it() -> None:
    space = Categorical((6, 6), 32)
    bank = space.sample(5, torch.Generator().manual_seed(0)).repeat(20, 1, 1)
    told = run(Nevergrad(Problem(space, 0, 600, bank), Nevergrad.Options()), Landscape(space), 30)
    assert told[-1].scores.max() > told[0].scores.max() + 0.3


def test_prints_and_warns_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for space in (Categorical((4,), 5), Box((4,), -1.0, 1.0)):
            for name in ("DiscreteLenglerOnePlusOne", "CMA", "TwoPointsDE"):
                run(Nevergrad(Problem(space, 0, 60), Nevergrad.Options(optimizer=name)), Landscape(space), 4, 0.3)
    out = capfd.readouterr()
    assert out.out == ""
    assert out.err == ""


def test_one_that_works_alone_asks_one_at_a_time() -> None:
    optimizer = Nevergrad(Problem(Box((4,), -1.0, 1.0), 0, 60), Nevergrad.Options(optimizer="Cobyla", batch=8))
    assert len(optimizer.ask()) == 1


def test_refuses_what_cannot_propose_before_any_evaluation() -> None:
    with pytest.raises(Unsuitable, match=r"CMA can't search this space .*OnePlusOne can"):
        Nevergrad(Problem(Box((1,), 0.0, 1.0), 0, 60), Nevergrad.Options(optimizer="DiagonalCMA"))
