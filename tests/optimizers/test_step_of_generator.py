"""Adam's step in a box: the job's, else the generator's, else a share of the box."""

import pytest
import torch

from actmax.models.spaces import Box
from actmax.optimizers.adam import Adam
from actmax.optimizers.optimizer import Evaluations, Problem


@pytest.mark.parametrize(
    ("step", "options", "moved"),
    [(None, {}, 0.4), (0.03, {}, 0.03), (0.03, {"learning_rate": 0.25}, 1.0), (None, {"learning_rate": 0.25}, 1.0)],
)
def test_the_first_step_is_as_long_as_said(step, options, moved):
    problem = Problem(Box((3,), -4.0, 4.0), seed=1, bank=torch.zeros(1, 3), differentiable=True, step=step)
    adam = Adam(problem, Adam.Options(**options))
    asked = adam.ask()
    adam.tell(Evaluations(asked, torch.zeros(1, dtype=torch.float64), gradients=torch.tensor([[1.0, -2.0, 0.5]])))
    assert torch.allclose(adam.ask(), torch.tensor([[moved, -moved, moved]]), rtol=1e-4)
