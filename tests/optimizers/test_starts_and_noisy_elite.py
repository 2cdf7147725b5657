"""Searches begin with what their problem gives them, and a noisy one's elite is no list of lucky scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from actmax.engine.components.registry import find
from actmax.models.spaces import Box, Categorical
from actmax.optimizers.optimizer import Evaluations, Problem, Unsuitable
from actmax.optimizers.ranking import MeasuredElite

NAMES = (
    "random",
    "xdream",
    "cma",
    "sphere-cma",
    "thompson",
    "tt-grid",
    "patch-evolution",
    "tt-evolution",
    "protes",
    "tt-cross",
    "nevergrad",
    "auto",
)


@pytest.mark.parametrize("bank", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_starts_are_asked_before_anything_else(name, bank):
    found = find("optimizer", name, "optimizer")
    tried = 0
    for space in (Box((6,), -2.0, 2.0), Categorical((3, 3), 5)):
        draws = torch.Generator().manual_seed(1)
        starts = space.sample(3, draws)
        if isinstance(space, Box) and name in ("tt-cross", "protes"):
            continue  # these search boxes on levels, to which a start is rounded
        problem = Problem(space, 0, 400, space.sample(30, draws) if bank else None, noisy=True, starts=starts)
        try:
            optimizer = found(problem, found.Options())
        except Unsuitable:
            continue
        tried += 1
        asked = torch.empty(0)
        while len(asked) < 3:
            latents = optimizer.ask()
            asked = torch.cat([asked.to(latents.dtype), latents])
            optimizer.tell(Evaluations(latents, latents.double().flatten(1).sum(1)))
        for start in starts:
            assert any(torch.allclose(start.double(), row.double(), atol=1e-5) for row in asked), space
        twin = found(problem, found.Options())
        twin.load_state_dict(optimizer.state_dict())
        assert torch.equal(optimizer.ask(), twin.ask())
        with pytest.raises(ValueError, match="latents"):
            found(replace(problem, starts=torch.zeros(2, 99)), found.Options())
    assert tried


def test_a_lucky_score_leads_until_it_is_measured_again():
    elite = MeasuredElite(1, 1)
    draws = torch.Generator().manual_seed(0)
    good, lucky = torch.full((4,), 1.0), torch.full((4,), 2.0)
    for _ in range(12):
        elite.add(good[None], 10 + torch.randn(1, generator=draws, dtype=torch.float64))
        elite.add(torch.randn(2, 4, generator=draws), 3 + 3 * torch.randn(2, generator=draws, dtype=torch.float64))
    elite.add(lucky[None], torch.tensor([18.0], dtype=torch.float64))
    assert torch.equal(elite.rows[0], lucky)
    assert lucky.tolist() in elite.again(3).tolist()
    for _ in range(4):
        elite.add(lucky[None], torch.tensor([4.0], dtype=torch.float64))
    assert torch.equal(elite.rows[0], good)


def test_without_noise_hardly_anything_is_measured_again_and_the_state_is_whole():
    elite = MeasuredElite(2, 6)
    draws = torch.Generator().manual_seed(0)
    rows = torch.randn(30, 4, generator=draws)
    elite.add(rows, rows.double().sum(1))
    assert len(elite) == 6
    for _ in range(3):
        again = elite.again(8)
        elite.add(again, again.double().sum(1))
    assert elite.noise < 1e-9
    assert len(elite) == 2
    assert len(elite.again(8)) == 1
    twin = MeasuredElite(2, 6)
    twin.restore(elite.state())
    elite.add(rows[:3], torch.ones(3, dtype=torch.float64))
    twin.add(rows[:3], torch.ones(3, dtype=torch.float64))
    assert torch.equal(elite.rows, twin.rows)
    assert torch.equal(elite.scores, twin.scores)
