"""Search of few coordinates, under noise above all: whole functions drawn from a model's posterior, each climbed to its peak."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..models.spaces import Box
from .coordinates import BoxCoordinates, CodeCoordinates, coordinates
from .feature_model import FeatureModel
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

STARTS = 3
"""Evaluated latents from which the model's mean is climbed."""
STEPS = 40
"""Of gradient ascent."""
LARGEST = 512
"""Coordinates."""
VARIED = 20
"""Times that a candidate is varied until it is new; a small space may be known through and through."""


class Thompson(Searcher):
    """Thompson sampling of functions: each candidate is where another function, drawn from the posterior, has its peak.

    Thompson (1933); with functions drawn whole by random features as in Hernández-Lobato, Hoffman and Ghahramani ("Predictive entropy
    search", 2014). A draw agrees with the model where the evaluations have settled it and goes astray elsewhere, so candidates differ
    from one another along just those directions that are still unknown: under noise that is worth more than steps of equal size in all
    directions, most of which are lost in it. The model is quadratic and more (:class:`FeatureModel`).

    Every ask climbs the posterior's mean from the best latents to the answer so far, then a draw for each candidate from there, within
    ``radius``. The first candidate is the answer itself. Codes are searched by the vectors that they stand for: what was climbed to
    becomes the nearest codes, and without noise those that were told before are varied.

    It reuses all evaluations, others' too where the job shares them. Where the problem is noisy it recommends the peak of the
    posterior's mean, which need not be a latent that was evaluated; otherwise the best.

    Parameters
    ----------
    problem : Problem
        Over a Box, with or without a bank, or over codes that stand for vectors.
    options : Thompson.Options

    Raises
    ------
    Unsuitable
        The latents are codes without vectors, or have more coordinates than a model of a few hundred evaluations can tell apart.
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
        places = coordinates(problem)
        if places is None:
            raise Unsuitable("thompson needs codes that stand for vectors; tt-evolution and patch-evolution search any")
        if places.size > LARGEST:
            instead = "sphere-cma or cma" if isinstance(problem.latent, Box) else "tt-evolution or patch-evolution"
            raise Unsuitable(f"thompson models up to {LARGEST} coordinates, these latents have {places.size}; use {instead}")
        self._places = places
        budget = problem.evaluations
        self._screen = options.screen if budget is None else max(4, min(options.screen, budget // 10))
        self._model = FeatureModel(places.size, options.waves, self.generator)
        self._count = 0
        """Evaluations asked for and told, missed ones included."""
        self._told: set[bytes] = set()
        """Codes whose score is known."""

    def _propose(self) -> Tensor:
        if self._count < self._screen or len(self._model) < 2:
            return self._starts(max(self._screen - self._count, 2))
        rows = self._peak()
        count = self.options.batch - 1
        if count:
            draws = self._model.draws(count, self.options.inflation, self.generator)
            rows = torch.cat([rows, self._climb(draws, rows.expand(count, -1))])
        return self._fresh(self._places.latents(rows))

    def _fresh(self, latents: Tensor) -> Tensor:
        """Codes repeat; without noise, those that were told or are among the candidates already are varied until they are new."""
        places = self._places
        if isinstance(places, BoxCoordinates) or self.problem.noisy:
            return latents
        taken = set(self._told)
        for number in range(len(latents)):
            for _ in range(VARIED):
                if _key(latents[number]) not in taken:
                    break
                latents[number] = places.varied(latents[number : number + 1], self.generator)[0]
            taken.add(_key(latents[number]))
        return latents

    def _peak(self) -> Tensor:
        """Of the posterior's mean, in the model's coordinates: (1, size)."""
        starts = self._model.best(STARTS)
        mean = self._model.mean.expand(len(starts), -1)
        climbed = self._climb(mean, starts)
        return climbed[self._model.values(mean, climbed).argmax()][None]

    def _climb(self, weights: Tensor, starts: Tensor) -> Tensor:
        places = self._places
        return self._model.climb(weights, starts, self.options.radius * math.sqrt(places.size), places.low, places.high, STEPS)

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
        return self._places.latents(self._peak())[0]

    def _add(self, latents: Tensor, scores: Tensor) -> None:
        told = scores.isfinite()
        if bool(told.any()):
            self._model.add(self._places.rows(latents[told]), scores[told])
            if isinstance(self._places, CodeCoordinates):
                self._told.update(map(_key, latents[told]))

    def _state(self) -> dict[str, Any]:
        told = [torch.frombuffer(bytearray(key), dtype=torch.long) for key in sorted(self._told)]
        return {"model": self._model.state(), "count": self._count, "told": told}

    def _restore(self, state: State) -> None:
        self._model.restore(state["model"])
        self._count = int(state["count"])
        self._told = {key.numpy().tobytes() for key in state["told"]}


def _key(latent: Tensor) -> bytes:
    return latent.numpy().tobytes()
