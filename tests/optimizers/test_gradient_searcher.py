"""What gradient searches share: screening, beginning again, gradients that are missing."""

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.adam import Adam
from actmax.optimizers.langevin import Langevin
from actmax.optimizers.normalised_ascent import NormalisedAscent
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import Landscape, run

ALL = [Adam, NormalisedAscent, Langevin]


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("space", [Categorical((3, 3), 8), Box((6,), -3.0, 3.0)], ids=["codes", "box"])
def test_begins_at_the_best_screened(cls: type, space: Categorical | Box) -> None:
    bank = space.sample(60, torch.Generator().manual_seed(0))
    landscape = Landscape(space)
    optimizer = cls(Problem(space, 0, 1000, bank), cls.Options(screen=50, batch=3))
    assert cls.needs_gradient is True
    assert optimizer.needs_gradient is False
    screened = optimizer.ask()
    assert len(screened.unique(dim=0)) == 50
    space.check(screened)
    told = landscape.evaluate(screened, False, missed=[7])
    optimizer.tell(told)
    assert optimizer.needs_gradient is True
    begun = optimizer.ask()
    begun = space.harden(begun) if isinstance(space, Categorical) else begun
    expected = screened[told.scores.nan_to_num(-torch.inf).topk(3).indices]
    assert torch.equal(begun, expected)


def test_screens_no_more_than_a_tenth_and_only_what_can_be_chosen_from() -> None:
    space = Box((6,), -3.0, 3.0)
    assert len(Adam(Problem(space, 0, 200), Adam.Options(screen=50)).ask()) == 20
    assert Adam(Problem(space, 0, 40), Adam.Options(screen=50, batch=4)).needs_gradient
    assert len(Adam(Problem(space, 0, None, space.sample(9, torch.Generator())), Adam.Options(screen=50, batch=4)).ask()) == 9


def stalled(cls: type, restart: str, screen: int = 0, **options: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Told a flat score and slope but for one early peak: the bank, what was screened, and what was asked, (rounds, 2, 6)."""
    space = Box((6,), -3.0, 3.0)
    bank = space.sample(40, torch.Generator().manual_seed(0))
    optimizer = cls(Problem(space, 0, 10_000, bank), cls.Options(restart=restart, patience=5, screen=screen, batch=2, **options))
    screened = torch.empty(0)
    if screen:
        screened = optimizer.ask()
        optimizer.tell(Evaluations(screened, -torch.arange(float(screen)).double()))
    asked = []
    for _ in range(20):
        latents = optimizer.ask()
        asked.append(latents)
        optimizer.tell(Evaluations(latents, torch.full((2,), 1.0).double(), None, torch.zeros(2, 6)))
    return bank, screened, torch.stack(asked)


def test_an_ascent_that_stalls_begins_again_at_a_natural_latent() -> None:
    bank, _, asked = stalled(Adam, "natural")
    # the first evaluation improves on none, then five do not
    starts = asked[[0, 6, 12, 18]].flatten(0, 1)
    assert bool((starts[:, None] == bank).all(2).any(1).all())
    assert len(starts.unique(dim=0)) > 4
    assert torch.equal(asked[0], asked[5])


def test_a_stalled_ascent_takes_the_next_best_screened() -> None:
    _, screened, asked = stalled(Adam, "natural", screen=5)
    assert torch.equal(asked[[0, 6]].flatten(0, 1), screened[:4])
    assert torch.equal(asked[12, 0], screened[4])


def test_never_means_never() -> None:
    _, _, asked = stalled(Adam, "never")
    assert bool((asked == asked[0]).all())


def test_begins_again_near_the_best() -> None:
    bank, _, asked = stalled(Adam, "perturbed", perturbation=0.25)
    fresh = (asked[6] - 0.75 * asked[0, 0]) / 0.25
    assert bool(torch.isclose(fresh[:, None], bank, atol=1e-4).all(2).any(1).all())


def test_begins_again_near_the_best_codes() -> None:
    space = Categorical((400,), 50)
    optimizer = Adam(Problem(space, 0), Adam.Options(restart="perturbed", patience=1, batch=1, perturbation=0.1))
    first = optimizer.ask()
    for score in (1.0, 0.0):
        weights = optimizer.ask()
        optimizer.tell(Evaluations(weights, torch.tensor([score]).double(), None, torch.zeros_like(weights)))
    differ = float((optimizer.ask().argmax(-1) != first.argmax(-1)).float().mean())
    assert 0.04 < differ < 0.16


def test_moments_are_forgotten_with_the_way() -> None:
    space = Box((4,), -1.0, 1.0)
    optimizer = Adam(Problem(space, 0), Adam.Options(patience=3, batch=1, restart="natural"))
    for _ in range(4):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, torch.zeros(1).double(), None, torch.ones(1, 4)))
    start = optimizer.ask()
    # a first step of Adam is the learning rate against every sign, whatever was before
    optimizer.tell(Evaluations(start, torch.zeros(1).double(), None, -torch.ones(1, 4)))
    assert torch.allclose(optimizer.ask(), (start - 0.1).clamp(-1, 1), atol=1e-6)


@pytest.mark.parametrize("cls", ALL)
def test_an_improving_ascent_is_left_alone_and_missed_trials_do_not_count(cls: type) -> None:
    space = Box((4,), -1.0, 1.0)
    optimizer = cls(Problem(space, 0, 10_000), cls.Options(patience=2, batch=1))
    optimizer._renew = lambda rows: pytest.fail("begun again")
    for score in (0.0, torch.nan, torch.nan, torch.nan, -1.0, 1.0, 0.5, torch.nan, 2.0):
        latents = optimizer.ask()
        optimizer.tell(Evaluations(latents, torch.tensor([score]).double(), None, torch.full((1, 4), torch.nan)))


@pytest.mark.parametrize("cls", ALL)
def test_refuses_answers_without_gradients(cls: type) -> None:
    optimizer = cls(Problem(Box((4,), -1.0, 1.0), 0), cls.Options())
    latents = optimizer.ask()
    with pytest.raises(ValueError, match="needs the gradient"):
        optimizer.tell(Evaluations(latents, torch.zeros(len(latents)).double()))


@pytest.mark.parametrize("cls", ALL)
def test_resumes_between_screening_and_climbing_and_after_beginning_again(cls: type) -> None:
    space = Categorical((3, 3), 8)
    bank = space.sample(60, torch.Generator().manual_seed(0))
    for rounds in (1, 2, 12):
        made = [cls(Problem(space, 0, 1000, bank), cls.Options(screen=20, patience=2, restart="natural")) for _ in range(2)]
        run(made[0], Landscape(space), rounds, 0.2)
        made[1].load_state_dict(made[0].state_dict())
        told = [run(one, Landscape(space), 6, 0.2, seed=1) for one in made]
        for a, b in zip(*told, strict=True):
            assert torch.equal(a.latents, b.latents)
