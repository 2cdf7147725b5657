"""XDream's genetic algorithm, an evolution by selection, crossover and mutation."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box
from .natural_scale import natural_scale
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

OUTLIER = 0.95
"""Quantile above which scores count as that quantile."""
LEAST_TEMPERATURE = 1e-300
"""Where all scores are equal; far below any response, whatever its unit."""


class XDream(Searcher):
    """XDream: parents drawn by a softmax of their scores, uniform crossover, normal mutation.

    Ponce et al., "Evolving images for visual neurons using a deep generative network reveals coding principles and neuronal
    preferences", Cell 2019; Xiao and Kreiman, "XDream: finding preferred stimuli for visual neurons using generative networks and
    gradient-free optimization", PLOS Computational Biology 2020. A generation is the ``keep`` best of the last one, asked again, and
    children. A child takes each coordinate from its first parent with the probability ``heritability``, else from its second; then
    ``mutation_rate`` of its coordinates get normal noise. Both parents are drawn with probabilities proportional to
    exp(score / temperature), the temperature being the scores' standard deviation over ``selectivity``, and scores beyond the 95th
    percentile counting as that. Missed trials are asked again, unchanged. Defaults are those of XDream's example; Wang and Ponce (GECCO
    2022) took population 40, mutation rate 0.25 and size 0.75, selectivity 0.5, heritability 0.75, keep 10.

    XDream's latents are standard normal at the start, and its mutations are in these units. Here, ``mutation_size`` is in standard
    deviations of the bank that the first generation comes from; blind, of uniform draws. Latents are clipped to the box.

    Parameters
    ----------
    problem : Problem
        A Box.
    options : XDream.Options

    Raises
    ------
    Unsuitable
        The space is Categorical.
    """

    class Options(OptionsModel):
        """Options of XDream."""

        population: int = Field(default=20, ge=2, le=100_000, description="Latents a generation.")
        mutation_rate: float = Field(default=0.5, ge=0, le=1, description="Share of a child's coordinates that mutate.")
        mutation_size: float = Field(
            default=0.5, gt=0, le=100, allow_inf_nan=False, description="Their standard deviation, in natural standard deviations."
        )
        selectivity: float = Field(
            default=2.0, gt=0, le=1000, allow_inf_nan=False, description="Selection pressure: scores' deviation over the temperature."
        )
        heritability: float = Field(default=0.5, ge=0.5, le=1, description="Share of a child that comes from its first parent.")
        keep: int = Field(default=1, ge=0, le=100_000, description="Best latents of a generation that stay in the next.")

        @model_validator(mode="after")
        def _fits(self) -> XDream.Options:
            if self.keep >= self.population:
                raise ValueError(f"keep {self.keep} leaves no room for children in a population of {self.population}")
            return self

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        if not isinstance(problem.latent, Box):
            raise Unsuitable("xdream takes real-valued latents; search codes with patch-evolution, tt-cross, protes or nevergrad")
        super().__init__(problem)
        self.options = options
        scale = natural_scale(problem.latent, problem.bank)[1]
        self._spread = scale.float() if problem.bank is not None else scale.float() / math.sqrt(3.0)
        self._population = self._starts(options.population).flatten(1)

    def _propose(self) -> Tensor:
        return self._population.view(-1, *self.problem.latent.shape)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        space = self.problem.latent
        assert isinstance(space, Box)
        told = ~scores.isnan()
        missed, parents, scores = self._population[~told], self._population[told], scores[told]
        order = scores.argsort(descending=True, stable=True)
        parents, scores = parents[order], scores[order]
        kept = parents[: self.options.keep]
        children = parents[:0]
        count = len(parents) - len(kept)
        if count:
            weights = fitness(scores, self.options.selectivity)
            first, second = (torch.multinomial(weights, count, replacement=True, generator=self.generator) for _ in range(2))
            inherited = self._uniform(count) < self.options.heritability
            children = torch.where(inherited, parents[first], parents[second])
            mutated = self._uniform(count) < self.options.mutation_rate
            noise = torch.randn(children.shape, generator=self.generator) * (self.options.mutation_size * self._spread)
            children = torch.where(mutated, children + noise, children).clamp(space.low, space.high)
        self._population = torch.cat([kept, children, missed])

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, self.problem.latent.size, generator=self.generator)

    def _state(self) -> dict[str, Any]:
        return {"population": self._population.clone()}

    def _restore(self, state: State) -> None:
        self._population = state["population"].clone()


def fitness(scores: Tensor, selectivity: float) -> Tensor:
    """Return the probabilities of being a parent, up to a factor: float64, (n,), in (0, 1], 1 for the best.

    Parameters
    ----------
    scores : Tensor
        (n,) float64, n >= 1.
    selectivity : float
        Standard deviations of the scores over the temperature.
    """
    temperature = max(float(scores.std(correction=0)) / selectivity, LEAST_TEMPERATURE)
    capped = scores.clamp(max=float(scores.quantile(OUTLIER)))
    return ((capped - capped.max()) / temperature).exp()
