"""Every built-in optimizer keeps the contract, on every kind of space, blind and from a bank."""

from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actmax.models.spaces import Box, Categorical, LatentSpace
from actmax.optimizers.adam import Adam
from actmax.optimizers.auto import Auto
from actmax.optimizers.cma import CMA
from actmax.optimizers.langevin import Langevin
from actmax.optimizers.nevergrad import Nevergrad
from actmax.optimizers.normalised_ascent import NormalisedAscent
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.patch_evolution import PatchEvolution
from actmax.optimizers.protes import Protes
from actmax.optimizers.random_search import RandomSearch
from actmax.optimizers.sphere_cma import SphereCMA
from actmax.optimizers.testing import Landscape, OptimizerContract, check_resume
from actmax.optimizers.thompson import Thompson
from actmax.optimizers.tt_cross import TTCross
from actmax.optimizers.tt_evolution import TTEvolution
from actmax.optimizers.tt_grid import TTGrid
from actmax.optimizers.xdream import XDream

ALL = [RandomSearch, Adam, NormalisedAscent, Langevin, Protes, TTCross, PatchEvolution, Nevergrad]
OF_BOXES = [CMA, SphereCMA, XDream, Thompson, TTGrid]


class TestAuto(OptimizerContract):
    optimizer = Auto


class TestTTEvolution(OptimizerContract):
    optimizer = TTEvolution


class TestTTGrid(OptimizerContract):
    optimizer = TTGrid
    options: ClassVar = {"batch": 6, "screen": 10}


class TestRandomSearch(OptimizerContract):
    optimizer = RandomSearch
    options: ClassVar = {"batch": 16}


class TestAdam(OptimizerContract):
    optimizer = Adam


class TestAdamWithNoiseAndSchedule(OptimizerContract):
    optimizer = Adam
    options: ClassVar = {"noise": 0.5, "schedule": "cosine", "batch": 3}


class TestNAdamThatBeginsAgain(OptimizerContract):
    optimizer = Adam
    options: ClassVar = {"rule": "nadam", "patience": 1, "restart": "natural", "schedule": "warm-restarts", "cycle": 3, "batch": 2}


class TestSGDNearTheBest(OptimizerContract):
    optimizer = Adam
    options: ClassVar = {"rule": "sgd", "patience": 1, "restart": "perturbed"}


class TestNormalisedAscent(OptimizerContract):
    optimizer = NormalisedAscent
    options: ClassVar = {"steps": 4}


class TestLangevin(OptimizerContract):
    optimizer = Langevin


class TestProtes(OptimizerContract):
    optimizer = Protes


class TestProtesPublished(OptimizerContract):
    optimizer = Protes
    options: ClassVar = {"published": True, "batch": 12, "top": 4, "steps": 2}


class TestTTCross(OptimizerContract):
    optimizer = TTCross
    options: ClassVar = {"batch": 20}


class TestTTCrossRank(OptimizerContract):
    optimizer = TTCross
    options: ClassVar = {"rank": 3, "levels": 5, "batch": 7, "screen": 5}


class TestTTCrossPatches(OptimizerContract):
    optimizer = TTCross
    options: ClassVar = {"patch": 2}


class TestNevergrad(OptimizerContract):
    optimizer = Nevergrad
    options: ClassVar = {"batch": 4}


class TestNevergradOnGlobalRandom(OptimizerContract):
    """Its mutations draw from numpy's global generator."""

    optimizer = Nevergrad
    options: ClassVar = {"optimizer": "DoubleFastGADiscreteOnePlusOne", "batch": 2, "screen": 8}


class TestNevergradOnAThread(OptimizerContract):
    """A recast optimizer, which takes one candidate at a time."""

    optimizer = Nevergrad
    options: ClassVar = {"optimizer": "Cobyla"}


class TestPatchEvolution(OptimizerContract):
    optimizer = PatchEvolution


class TestPatchEvolutionWithoutModel(OptimizerContract):
    optimizer = PatchEvolution
    options: ClassVar = {"pool": 1, "batch": 9, "shift": 1.0, "from_random": 0.5}


class TestCMA(OptimizerContract):
    optimizer = CMA


class TestCMADiagonal(OptimizerContract):
    optimizer = CMA
    options: ClassVar = {"covariance": "diagonal", "population": 9, "sigma": 0.3}


class TestCMALearningRateAdapted(OptimizerContract):
    optimizer = CMA
    options: ClassVar = {"covariance": "learning-rate-adapted"}


class TestSphereCMA(OptimizerContract):
    optimizer = SphereCMA
    options: ClassVar = {"population": 8}


class TestXDream(OptimizerContract):
    optimizer = XDream


class TestThompson(OptimizerContract):
    optimizer = Thompson
    options: ClassVar = {"screen": 20, "n_features": 64}


def searched(cls: type, space: LatentSpace, bank: torch.Tensor | None, seed: int, evaluations: int = 600) -> float:
    landscape = Landscape(space, seed=11)
    optimizer = cls(Problem(space, seed, evaluations, bank), cls.Options())
    done = 0
    while done < evaluations:
        latents = optimizer.ask()
        optimizer.tell(landscape.evaluate(latents, optimizer.needs_gradient, slice(evaluations - done, None)))
        done += len(latents)
    return float(landscape.score(optimizer.recommend()[None]))


@pytest.mark.parametrize("blind", [True, False], ids=["blind", "bank"])
@pytest.mark.parametrize("cls", OF_BOXES)
def test_finds_more_than_random_search_in_a_box(cls: type, blind: bool) -> None:
    space = Box((16,), -2.0, 2.0)
    bank = None if blind else space.sample(50, torch.Generator().manual_seed(5))
    for seed in (0, 1):
        # the greatest score is 0
        assert searched(cls, space, bank, seed) > 0.2 * searched(RandomSearch, space, bank, seed)


@pytest.mark.parametrize("space", [Categorical((6, 6), 32), Box((16,), -2.0, 2.0)], ids=["codes", "box"])
@pytest.mark.parametrize(
    ("cls", "blind"),
    [
        (Adam, True),
        (Adam, False),
        (Protes, False),
        (TTCross, True),
        (TTCross, False),
        (PatchEvolution, True),
        (PatchEvolution, False),
        (Nevergrad, True),
        (Nevergrad, False),
    ],
)
def test_finds_more_than_random_search(cls: type, blind: bool, space: LatentSpace) -> None:
    bank = None if blind else space.sample(50, torch.Generator().manual_seed(5))
    for seed in (0, 1):
        baseline, found = searched(RandomSearch, space, bank, seed), searched(cls, space, bank, seed)
        # the box's score is at most 0, the codes' mean of a table grows with every position that is right
        assert found > (baseline * 0.5 if isinstance(space, Box) else baseline + 0.5)


@pytest.mark.parametrize("cls", [*ALL, *OF_BOXES])
def test_refuses_what_no_ask_answers(cls: type) -> None:
    space = Box((3,), 0.0, 1.0)
    optimizer = cls(Problem(space, 0, 500), cls.Options())
    latents = torch.rand(2, 3)
    with pytest.raises(RuntimeError, match="nothing was asked"):
        optimizer.tell(Evaluations(latents, torch.zeros(2).double()))
    asked = optimizer.ask()
    assert torch.equal(asked, optimizer.ask()), "asked again, the same"
    with pytest.raises(ValueError, match="candidates were asked"):
        optimizer.tell(Evaluations(asked, torch.zeros(len(asked) + 1).double()))


@pytest.mark.parametrize("cls", ALL)
def test_refuses_a_bank_of_another_space(cls: type) -> None:
    with pytest.raises(ValueError, match="codes must lie"):
        cls(Problem(Categorical((2,), 4), 0, 500, torch.full((3, 2), 4)), cls.Options())
    with pytest.raises(ValueError, match="at least one latent"):
        cls(Problem(Categorical((2,), 4), 0, 500, torch.empty(0, 2, dtype=torch.long)), cls.Options())


@pytest.mark.parametrize("cls", OF_BOXES)
def test_refuses_codes_and_a_bank_outside_its_box(cls: type) -> None:
    with pytest.raises(Unsuitable, match="patch-evolution"):
        cls(Problem(Categorical((2,), 4), 0, 500), cls.Options())
    with pytest.raises(ValueError, match="must lie in"):
        cls(Problem(Box((2,), 0.0, 1.0), 0, 500, torch.full((3, 2), 4.0)), cls.Options())


def test_recommends_the_earliest_of_equals() -> None:
    optimizer = RandomSearch(Problem(Categorical((4,), 100), 0), RandomSearch.Options(batch=5))
    first = optimizer.ask()
    optimizer.tell(Evaluations(first, torch.tensor([torch.nan, 1.0, 2.0, 2.0, torch.nan]).double()))
    optimizer.tell(Evaluations(optimizer.ask(), torch.full((5,), 2.0).double()))
    assert torch.equal(optimizer.recommend(), first[2])


@settings(max_examples=10, deadline=None)
@given(
    cls=st.sampled_from(OF_BOXES),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple).filter(lambda shape: max(shape) > 1),
    bank=st.integers(0, 5),
)
def test_any_box(cls: type, shape: tuple[int, ...], bank: int) -> None:
    space = Box(shape, 0.1, 0.3)
    start = space.sample(bank, torch.Generator().manual_seed(0)).clamp(0.1, 0.3) if bank else None
    check_resume(cls, cls.Options(), Problem(space, 1, 5000, start), rounds=1, after=3)


@settings(max_examples=15, deadline=None)
@given(
    cls=st.sampled_from([RandomSearch, Adam, Protes, TTCross, PatchEvolution]),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    codes=st.one_of(st.none(), st.integers(2, 9)),
    bank=st.integers(0, 5),
)
def test_any_shape(cls: type, shape: tuple[int, ...], codes: int | None, bank: int) -> None:
    space = Box(shape, 0.1, 0.3) if codes is None else Categorical(shape, codes)
    start = space.sample(bank, torch.Generator().manual_seed(0)) if bank else None
    check_resume(cls, cls.Options(), Problem(space, 1, 5000, start), rounds=1, after=3)
