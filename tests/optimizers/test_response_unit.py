"""What a response is measured in changes no search: amperes and picoamperes lead to the same candidates."""

from __future__ import annotations

import pytest
import torch

from actmax.engine.components.registry import Resolver
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import Landscape

BOX, CODES = Box((6,), -2.0, 2.0), Categorical((3, 3), 7)
IN_BOXES = ("auto", "cma", "nevergrad", "patch-evolution", "protes", "random", "sphere-cma", "thompson", "tt-cross", "tt-grid", "xdream")
IN_CODES = ("auto", "nevergrad", "patch-evolution", "protes", "random", "tt-cross", "tt-evolution")
CASES = [*((name, BOX) for name in IN_BOXES), *((name, CODES) for name in IN_CODES)]


def asked(name: str, space: Box | Categorical, unit: float, options: dict[str, object]) -> list[torch.Tensor]:
    """All candidates of a noisy search whose scores are multiplied by ``unit``."""
    bank = space.sample(40, torch.Generator().manual_seed(1))
    found = Resolver().find("optimizer", name, "optimizer")
    problem = Problem(space, seed=3, bank=bank, evaluations=120, noisy=True)
    optimizer = found(problem, found.Options(**options))
    landscape, noise = Landscape(space), torch.Generator().manual_seed(2)
    shown = []
    for _ in range(8):
        latents = optimizer.ask()
        shown.append(latents.clone())
        scores = landscape.score(latents.detach().cpu()) + 2.0 + 0.1 * torch.randn(len(latents), generator=noise, dtype=torch.float64)
        optimizer.tell(Evaluations(latents, unit * scores))
    return [*shown, optimizer.recommend()]


@pytest.mark.parametrize(("name", "space"), CASES)
@pytest.mark.parametrize("unit", [2.0**-50, 2.0**50], ids=["1e-15", "1e15"])
def test_candidates_do_not_depend_on_the_unit_of_the_response(name, space, unit):
    plain, other = (asked(name, space, factor, {}) for factor in (1.0, unit))
    assert all(torch.equal(one, two) for one, two in zip(plain, other, strict=True))


@pytest.mark.parametrize("unit", [2.0**-50, 2.0**50])
def test_slopes_of_scores_do_not_depend_on_the_unit_of_the_response(unit):
    plain, other = (asked("sphere-cma", BOX, factor, {"weights": "linear"}) for factor in (1.0, unit))
    assert all(torch.equal(one, two) for one, two in zip(plain, other, strict=True))
