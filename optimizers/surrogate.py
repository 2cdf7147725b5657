"""Search of a box by a model: a Gaussian process of the score picks what is evaluated."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..models.spaces import Box
from .gaussian_process import GaussianProcess
from .natural_scale import natural_scale
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

PARENTS = 3
"""Latents from which the model is climbed."""
STEPS = 12
"""Of gradient ascent on the model's mean."""


class Surrogate(Searcher):
    """Search of a box by a Gaussian process of the score: climb the model, draw around it, ask what a posterior draw likes best.

    Bayesian optimization (Shahriari et al., "Taking the human out of the loop", 2016) by Thompson sampling within a trust region around
    the best latents (Eriksson et al., TuRBO, "Scalable global optimization via local Bayesian optimization", 2019), with one length for
    all dimensions in features that grow with their number (Hvarfner et al., "Vanilla Bayesian optimization performs great in high
    dimensions", 2024).

    Every ask climbs the model's mean by gradient ascent from its best latents, makes a pool of normal steps around where that leads, at
    a distance that follows the model's length and shrinks over the run, draws a score for each from the posterior and asks the best.
    What the model likes best is always among them.

    It reuses all evaluations, others' too where the job shares them. Where the problem is noisy it recommends the evaluated latent of
    the highest posterior mean, otherwise the best.

    Parameters
    ----------
    problem : Problem
        Over a Box, with or without a bank.
    options : Surrogate.Options

    Raises
    ------
    Unsuitable
        The latents are codes.
    """

    class Options(BaseModel):
        """Options of the search by a model."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: Annotated[int, Field(ge=1, le=10_000, description="Candidates an ask.")] = 20
        screen: Annotated[
            int, Field(ge=2, le=100_000, description="Latents evaluated first, natural or uniform; at most a tenth of the evaluations.")
        ] = 60
        pool: Annotated[int, Field(ge=1, le=100_000, description="Candidates that the model chooses from in an ask.")] = 300
        memory: Annotated[
            int, Field(ge=20, le=10_000, description="Most evaluations that the model rests on; beyond, it keeps the best and the latest.")
        ] = 1500
        distance: Annotated[
            float, Field(gt=0, le=100, allow_inf_nan=False, description="Of candidates from the climbed points, in lengths of the model.")
        ] = 0.6

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        if not isinstance(problem.latent, Box):
            raise Unsuitable("surrogate searches boxes, not codes; patch-evolution searches both")
        self._space = problem.latent
        budget = problem.evaluations
        self._screen = options.screen if budget is None else max(2, min(options.screen, budget // 10))
        self._model = GaussianProcess()
        centre, scale = natural_scale(problem.latent, problem.bank)
        if problem.bank is None:
            scale = scale / math.sqrt(3)  # standard deviation of a uniform draw
        self._centre, self._unit = centre.float(), scale.float() * math.sqrt(2 * self._space.size)
        """Features are centred and in these units: two natural latents are at distance 1."""
        self._rows = torch.empty(0, self._space.size)
        """The latents that the model rests on."""
        self._count = 0

    def _propose(self) -> Tensor:
        if len(self._model) < self._screen:
            return self._starts(min(self._screen - len(self._model), max(self.options.batch, 50)))
        pool = self._pool()
        mean, deviation = self._model.posterior(pool)
        drawn = mean + deviation * torch.randn(len(pool), generator=self.generator)
        drawn[0] = torch.inf
        asked = pool[drawn.argsort(descending=True, stable=True)[: self.options.batch]] * self._unit + self._centre
        return asked.clamp(self._space.low, self._space.high).view(-1, *self._space.shape)

    def _pool(self) -> Tensor:
        """Features of candidates, (pool, size); the first is what the model likes best."""
        n, size = max(self.options.pool, self.options.batch), self._space.size
        low, high = (self._space.low - self._centre) / self._unit, (self._space.high - self._centre) / self._unit
        left = 1.0 if self.problem.evaluations is None else max(0.0, 1.0 - self._count / self.problem.evaluations)
        # standard deviation of a coordinate: its unit over sqrt(2 size) is one of a natural latent
        width = min(max(self.options.distance * self._model.length, 0.02), 1.0) * math.sqrt(left / (2 * size))
        radius = 2 * width * math.sqrt(size)
        starts = self._model.features[self._model.fitted_mean().argsort(descending=True, stable=True)[:PARENTS]]
        points = starts.clone()
        for step in range(STEPS):
            gradient = self._model.gradient(points)
            points += 0.25 * radius * (1 - step / STEPS) * gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1e-12)
            moved = points - starts
            points = starts + moved * (radius / moved.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)
            points = torch.minimum(torch.maximum(points, low), high)
        points = points[self._model.mean(points).argsort(descending=True, stable=True)]
        around = points[torch.randint(len(points), (n - 1,), generator=self.generator)]
        spread = width * torch.rand(n - 1, 1, generator=self.generator)
        around = around + spread * torch.randn(n - 1, size, generator=self.generator)
        return torch.cat([points[:1], torch.minimum(torch.maximum(around, low), high)])

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._count += len(scores)
        self._add(latents, scores)

    def overhear(self, evaluations: Evaluations) -> None:
        """Learn from others' candidates."""
        self._add(evaluations.latents.detach().cpu(), evaluations.scores.detach().cpu().double())

    def recommend(self) -> Tensor:
        """The best latent told; where the problem is noisy, the one of the highest posterior mean: (*latent)."""
        if not self.problem.noisy or len(self._model) < 2:
            return super().recommend()
        return self._rows[self._model.fitted_mean().argmax()].view(self._space.shape).clone()

    def _add(self, latents: Tensor, scores: Tensor) -> None:
        told = scores.isfinite()
        if not bool(told.any()):
            return
        rows = latents[told].flatten(1).float()
        self._rows = torch.cat([self._rows, rows])
        self._model.add((rows - self._centre) / self._unit, scores[told])
        if len(self._rows) > self.options.memory:
            self._forget()

    def _forget(self) -> None:
        """Keep three quarters: the latest half of them, and the best of the rest. Seldom, since it costs a new factor."""
        half = self.options.memory * 3 // 8
        latest = torch.arange(len(self._rows) - half, len(self._rows))
        best = self._model.fitted_mean()[:-half].argsort(descending=True, stable=True)[:half]
        kept = torch.cat([best, latest]).sort().values
        self._rows = self._rows[kept]
        self._model.keep(kept)

    def _state(self) -> dict[str, Any]:
        return {"model": self._model.state(), "rows": self._rows.clone(), "count": self._count}

    def _restore(self, state: State) -> None:
        self._model.restore(state["model"])
        self._rows, self._count = state["rows"].clone(), state["count"]
