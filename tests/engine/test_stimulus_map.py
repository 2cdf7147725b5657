"""The map from latents to stimuli that an optimizer is given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from actmax.engine.build import check
from actmax.engine.maximize import maximize
from actmax.engine.spec import JobSpec
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.function import FunctionTarget
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.testing import OptimizerContract


class Ridge:
    """Models scores as linear in stimuli, and asks what the model thinks best: a surrogate that needs no gradient of the target."""

    needs_gradient = False

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")

    def __init__(self, problem: Problem, options: Options) -> None:
        self.problem = problem
        self.rng = torch.Generator().manual_seed(problem.seed)
        self.latents, self.scores = torch.empty(0, *problem.latent.shape, dtype=problem.latent.sample(1, self.rng).dtype), torch.empty(0)

    def ask(self) -> Tensor:
        fresh = self.problem.latent.sample(20, self.rng)
        if len(self.scores) < 60:
            return fresh
        stimuli = self.problem.stimuli
        assert stimuli is not None
        with torch.no_grad():
            seen = stimuli(self.latents).flatten(1)
        mean = self.scores.mean()
        ridge = torch.linalg.solve(seen.T @ seen + 0.1 * torch.eye(seen.shape[1]), seen.T @ (self.scores - mean))
        box = self.problem.latent
        if not isinstance(box, Box):
            picked = box.sample(400, self.rng)
            return picked[(stimuli(picked).flatten(1) @ ridge).topk(20).indices]
        points = fresh.requires_grad_()
        for _ in range(30):
            (slope,) = torch.autograd.grad((stimuli(points).flatten(1) @ ridge).sum(), points)
            points = (points + 0.4 * slope.sign()).detach().clamp(box.low, box.high).requires_grad_()
        return points.detach()

    def tell(self, evaluations: Evaluations) -> None:
        known = evaluations.scores.isfinite()
        self.latents = torch.cat([self.latents, evaluations.latents[known]])
        self.scores = torch.cat([self.scores, evaluations.scores[known].float()])

    def recommend(self) -> Tensor:
        if not len(self.scores):
            raise RuntimeError("nothing was told yet")
        return self.latents[self.scores.argmax()]

    def state_dict(self) -> dict[str, Any]:
        return {"latents": self.latents, "scores": self.scores, "rng": self.rng.get_state()}

    def load_state_dict(self, state: Any) -> None:
        self.latents, self.scores = state["latents"], state["scores"]
        self.rng.set_state(state["rng"])


class TestRidge(OptimizerContract):
    optimizer = Ridge


def job(generator: str, **more: Any) -> JobSpec:
    return JobSpec.parse(
        {
            "generator": generator,
            "target": {"name": "cifar10-cnn"},
            "units": ["fc[0]"],
            "optimizer": {"name": "random"},
            "budget": {"evaluations": 10},
            **more,
        }
    )


@pytest.mark.parametrize("generator", ["cifar10-sngan", "cifar10-vqvae", "fourier", "pixel"])
def test_it_is_the_generator(generator: str) -> None:
    checked = check(job({"name": generator}))  # type: ignore[arg-type]
    seen: list[Problem] = []

    class Looking(Ridge):
        def __init__(self, problem: Problem, options: Any) -> None:
            seen.append(problem)
            super().__init__(problem, options)

    check(job({"name": generator}, optimizer={"name": "mine"}), given={"mine": Looking})  # type: ignore[arg-type]
    stimuli = seen[0].stimuli
    assert stimuli is not None
    assert stimuli.stimulus == checked.generator.stimulus
    latents = checked.generator.latent.sample(3, torch.Generator().manual_seed(0))
    assert torch.equal(stimuli(latents), checked.generator(latents))
    assert stimuli.differentiable
    leaf = latents.clone().float()
    if not isinstance(checked.generator.latent, Box):
        leaf = torch.nn.functional.one_hot(latents, checked.generator.latent.cardinality).float()
    leaf.requires_grad_()
    weights = torch.randn(3, *stimuli.stimulus.shape, generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad((stimuli(leaf) * weights).sum(), leaf)
    assert bool((slope != 0).any())


def test_what_is_constrained_is_mapped_as_it_is_shown() -> None:
    seen: list[Problem] = []

    class Looking(Ridge):
        def __init__(self, problem: Problem, options: Any) -> None:
            seen.append(problem)
            super().__init__(problem, options)

    check(job({"name": "pixel"}, optimizer={"name": "mine"}, constraints={"luminance": 0.4, "contrast": 0.1}), given={"mine": Looking})  # type: ignore[arg-type]
    stimuli, space = seen[0].stimuli, seen[0].latent
    assert stimuli is not None
    shown = stimuli(space.sample(2, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(shown.flatten(1).mean(1), torch.full((2,), 0.4), atol=1e-3, rtol=0)


def test_a_surrogate_of_stimuli_searches_a_target_without_gradients() -> None:
    template = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(3))
    target = FunctionTarget({"output": lambda images: (images * template.numpy()).sum((1, 2, 3))}, StimulusSpec((1, 8, 8)))
    found, blind = (maximize("pixel", target, "output[0]", optimizer=each, evaluations=300, seed=1) for each in (Ridge, "random"))  # type: ignore[arg-type]
    best = float(template.clamp(min=0).sum())
    assert found.searches[0].response > 0.9 * best > blind.searches[0].response
