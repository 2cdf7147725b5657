from itertools import pairwise

import pytest
import torch

from actmax.models.spaces import Box, Categorical
from actmax.optimizers.adam import Adam
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import Landscape, run


def test_asks_weights_of_real_codes() -> None:
    space = Categorical((3, 2), 7)
    optimizer = Adam(Problem(space, 0), Adam.Options(noise=1.0, batch=4))
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
    optimizer = Adam(Problem(space, 0, bank=bank), Adam.Options(learning_rate=0.7, batch=4))
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
    optimizer = Adam(Problem(space, 0, evaluations=40), Adam.Options(schedule="cosine", batch=4))
    asked = [one.latents for one in run(optimizer, Landscape(space), 11)]
    steps = [float((b - a).abs().max()) for a, b in pairwise(asked)]
    assert steps[-1] < 0.1 * max(steps)


def test_refuses_answers_without_gradients() -> None:
    optimizer = Adam(Problem(Box((4,), -1.0, 1.0), 0), Adam.Options(batch=4))
    with pytest.raises(ValueError, match="needs the gradient"):
        optimizer.tell(Evaluations(optimizer.ask(), torch.zeros(4).double()))


@pytest.mark.parametrize("rule", ["adam", "nadam", "radam", "adamw", "rmsprop", "sgd"])
def test_every_rule_is_that_of_torch(rule: str) -> None:
    # told gradients of unit root mean square, so that its scaling leaves them alone
    space = Box((6,), -50.0, 50.0)
    optimizer = Adam(
        Problem(space, 0), Adam.Options.model_validate({"rule": rule, "learning_rate": 0.004, "batch": 2, "betas": (0.8, 0.95)})
    )
    point = optimizer.ask().requires_grad_()
    eps = 1e-12
    reference: torch.optim.Optimizer = {
        "adam": lambda: torch.optim.Adam([point], 0.2, (0.8, 0.95), eps),
        "nadam": lambda: torch.optim.NAdam([point], 0.2, (0.8, 0.95), eps),
        "radam": lambda: torch.optim.RAdam([point], 0.2, (0.8, 0.95), eps),
        "adamw": lambda: torch.optim.AdamW([point], 0.2, (0.8, 0.95), eps, 0.01),
        "rmsprop": lambda: torch.optim.RMSprop([point], 0.2, 0.95, eps),
        "sgd": lambda: torch.optim.SGD([point], 0.2, 0.8, 0.8),
    }[rule]()
    generator = torch.Generator().manual_seed(1)
    for _ in range(15):
        gradient = torch.randn(2, 6, generator=generator)
        gradient = gradient / gradient.square().mean(1, keepdim=True).sqrt()
        optimizer.tell(Evaluations(optimizer.ask(), torch.zeros(2).double(), None, gradient))
        point.grad = -gradient
        reference.step()
        assert torch.allclose(optimizer.ask(), point.detach(), atol=1e-4)


@pytest.mark.parametrize("rule", ["adam", "nadam", "radam", "adamw", "rmsprop", "sgd"])
def test_every_rule_climbs_a_box(rule: str) -> None:
    space = Box((6,), -1.0, 1.0)
    landscape = Landscape(space)
    optimizer = Adam(Problem(space, 0), Adam.Options.model_validate({"rule": rule, "batch": 2}))
    run(optimizer, landscape, 150)
    assert float(landscape.score(optimizer.recommend()[None])) > -1e-3


def test_warm_restarts_rest_and_wake() -> None:
    space = Box((4,), -1.0, 1.0)
    optimizer = Adam(Problem(space, 0), Adam.Options(schedule="warm-restarts", cycle=10, restart="never"))
    asked = [one.latents for one in run(optimizer, Landscape(space), 21)]
    steps = [float((b - a).abs().max()) for a, b in pairwise(asked)]
    assert steps[9] < 0.1 * steps[0]
    assert steps[10] > 5 * steps[9]
