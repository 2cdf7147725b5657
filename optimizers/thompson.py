"""Search of a small box under noise: whole functions drawn from a model's posterior, each climbed to its peak."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..models.spaces import Box
from .feature_model import FeatureModel
from .natural_scale import natural_scale
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

STARTS = 3
"""Evaluated latents from which the model's mean is climbed."""
STEPS = 40
"""Of gradient ascent."""


LARGEST = 512
"""Coordinates."""


class Thompson(Searcher):
    """Thompson sampling of functions: each candidate is where another function, drawn from the posterior, has its peak.

    Thompson (1933); with functions drawn whole by random features as in Hernández-Lobato, Hoffman and Ghahramani ("Predictive entropy
    search", 2014). A draw agrees with the model where the evaluations have settled it and goes astray elsewhere, so candidates differ
    from one another along just those directions that are still unknown: under noise that is worth more than steps of equal size in all
    directions, most of which are lost in it. The model is quadratic and more (:class:`FeatureModel`).

    Every ask climbs the posterior's mean from the best latents to the answer so far, then a draw for each candidate from there, within
    ``radius``. The first candidate is the answer itself.

    It reuses all evaluations, others' too where the job shares them. Where the problem is noisy it recommends the peak of the
    posterior's mean, which need not be a latent that was evaluated; otherwise the best.

    Parameters
    ----------
    problem : Problem
        Over a Box, with or without a bank.
    options : Thompson.Options

    Raises
    ------
    Unsuitable
        The latents are codes, or have more coordinates than a model of a few hundred evaluations can tell apart.
    """

    class Options(BaseModel):
        """Options of the search by drawn functions."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        batch: Annotated[int, Field(ge=1, le=10_000, description="Candidates an ask.")] = 20
        screen: Annotated[
            int, Field(ge=4, le=100_000, description="Latents evaluated first, natural or uniform; at most a tenth of the evaluations.")
        ] = 60
        waves: Annotated[int, Field(ge=0, le=10_000, description="Random Fourier features of the model.")] = 512
        radius: Annotated[
            float, Field(gt=0, le=100, allow_inf_nan=False, description="Of a climb, in standard deviations of every coordinate.")
        ] = 0.5
        inflation: Annotated[
            float, Field(gt=0, le=100, allow_inf_nan=False, description="Of the draws' deviation from the mean; more explores more.")
        ] = 1.0

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        if not isinstance(problem.latent, Box):
            raise Unsuitable("thompson searches boxes, not codes; tt-evolution and patch-evolution search codes")
        self._space = problem.latent
        if self._space.size > LARGEST:
            raise Unsuitable(f"thompson models up to {LARGEST} coordinates, this box has {self._space.size}; use sphere-cma or cma")
        budget = problem.evaluations
        self._screen = options.screen if budget is None else max(4, min(options.screen, budget // 10))
        self._model = FeatureModel(self._space.size, options.waves, self.generator)
        centre, scale = natural_scale(problem.latent, problem.bank)
        if problem.bank is None:
            scale = scale / math.sqrt(3)  # standard deviation of a uniform draw
        self._centre, self._scale = centre.float(), scale.float()
        self._count = 0
        """Evaluations asked for and told, missed ones included."""
        self._low, self._high = (self._space.low - self._centre) / self._scale, (self._space.high - self._centre) / self._scale

    def _propose(self) -> Tensor:
        if self._count < self._screen or len(self._model) < 2:
            return self._starts(max(self._screen - self._count, 2))
        peak = self._peak()
        count = self.options.batch - 1
        if not count:
            return self._latents(peak)
        draws = self._model.draws(count, self.options.inflation, self.generator)
        return self._latents(torch.cat([peak, self._climb(draws, peak.expand(count, -1))]))

    def _peak(self) -> Tensor:
        """Of the posterior's mean, in the model's coordinates: (1, size)."""
        starts = self._model.best(STARTS)
        mean = self._model.mean.expand(len(starts), -1)
        climbed = self._climb(mean, starts)
        return climbed[self._model.values(mean, climbed).argmax()][None]

    def _climb(self, weights: Tensor, starts: Tensor) -> Tensor:
        return self._model.climb(weights, starts, self.options.radius * math.sqrt(self._space.size), self._low, self._high, STEPS)

    def _latents(self, rows: Tensor) -> Tensor:
        return (rows * self._scale + self._centre).clamp(self._space.low, self._space.high).view(-1, *self._space.shape)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._count += len(scores)
        self._add(latents, scores)

    def overhear(self, evaluations: Evaluations) -> None:
        """Learn from others' candidates."""
        self._add(evaluations.latents.detach().cpu(), evaluations.scores.detach().cpu().double())

    def recommend(self) -> Tensor:
        """The best latent told; where the problem is noisy, the peak of the posterior's mean: (*latent)."""
        best = super().recommend()
        if not self.problem.noisy or self._count < self._screen or len(self._model) < 2:
            return best
        return self._latents(self._peak())[0]

    def _add(self, latents: Tensor, scores: Tensor) -> None:
        told = scores.isfinite()
        if bool(told.any()):
            self._model.add((latents[told].flatten(1).float() - self._centre) / self._scale, scores[told])

    def _state(self) -> dict[str, Any]:
        return {"model": self._model.state(), "count": self._count}

    def _restore(self, state: State) -> None:
        self._model.restore(state["model"])
        self._count = int(state["count"])
