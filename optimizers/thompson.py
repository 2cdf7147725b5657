"""Thompson sampling with whole functions: functions are drawn from a model's posterior, and each is climbed to its peak."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box
from .coordinates import MOST_CODES, BoxCoordinates, CodeCoordinates, coordinates
from .feature_model import FeatureModel
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

HEARD = 5
"""Least number of responses above the lowest one for a model; a unit may be silent to most latents."""
STARTS = 3
"""Evaluated latents from which the model's mean is climbed."""
STEPS = 40
"""Steps of gradient ascent."""
LARGEST = 512
"""Most coordinates."""
NEW = 500
"""New latents that a draw may be climbed from, besides the evaluated ones."""
VARIED = 20
"""Most times that a candidate is varied to make it new; every latent of a small space may be known."""


class Thompson(Searcher):
    """Thompson sampling of functions: each candidate is where another function, drawn from the posterior, has its peak.

    Thompson (1933); with functions drawn whole by random features as in Hernández-Lobato, Hoffman and Ghahramani ("Predictive entropy
    search", 2014). Draws agree where the evaluations determine the model and differ elsewhere, so candidates differ along the unknown
    directions alone. Under noise these gain more than steps of equal size in all directions, most of which the noise hides. The model
    has quadratic and random Fourier features (:class:`FeatureModel`).

    Every ask climbs the posterior's mean from the best latents to its peak, which is the first candidate. Each other candidate is the
    peak of a draw, climbed within ``radius`` from the latent that the draw rates highest, among the evaluated ones and some new ones:
    where there are several peaks, draws disagree about the highest. Codes are searched by the vectors that they stand for: the end of a
    climb becomes the nearest codes, and without noise codes that are known already are varied. A unit that is silent to most latents
    is shown natural (blind: uniform) ones until five responses exceed the lowest, for a quarter of the evaluations at most.

    Draws deviate from the mean by ``inflation`` times the posterior's deviation, since with as many evaluations as features the posterior
    is too narrow away from the evaluations (Wilson et al., "Efficiently sampling functions from Gaussian process posteriors", 2020).
    Measured on eight-parameter gratings in front of a CNN, four units, two seeds, 1,000 evaluations, as shares of the best known
    response: .85 with an inflation of 2, .78 with 1. As spike counts: .80 with 2, .77 with 1.5, .72 with 1, where the recommendation for
    a bump in 32 dimensions reaches .95, .96 and .97 of its peak.

    The model uses all evaluations, those of other searches too where the job shares them. Where the problem is noisy the peak of the
    posterior's mean is recommended, which need not be an evaluated latent; otherwise the best candidate.

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

    class Options(OptionsModel):
        """Options of the search by drawn functions."""

        former_names: ClassVar[Mapping[str, str]] = {"waves": "n_features"}
        batch: int = Field(default=20, ge=1, le=10_000, description="Candidates an ask.")
        screen: int = Field(
            default=60, ge=4, le=100_000, description="Latents evaluated first, natural or uniform; at most a tenth of the evaluations."
        )
        n_features: int = Field(default=512, ge=0, le=10_000, description="Random Fourier features of the model.")
        radius: float = Field(
            default=0.5, gt=0, le=100, allow_inf_nan=False, description="Of a climb, in standard deviations of every coordinate."
        )
        inflation: float | None = Field(
            default=None,
            gt=0,
            le=100,
            allow_inf_nan=False,
            description="Of the draws' deviation from the mean; more explores more. None: 2, where responses are noisy 1.5.",
        )

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        places = coordinates(problem)
        if places is None:
            raise Unsuitable(f"thompson needs up to {MOST_CODES} codes that stand for vectors; tt-evolution and patch-evolution search any")
        if places.size > LARGEST:
            instead = "sphere-cma or cma" if isinstance(problem.latent, Box) else "tt-evolution or patch-evolution"
            raise Unsuitable(f"thompson models up to {LARGEST} coordinates, these latents have {places.size}; use {instead}")
        self._places = places
        budget = problem.evaluations
        self._screen = options.screen if budget is None else max(4, min(options.screen, budget // 10))
        self._inflation = options.inflation or (1.5 if problem.noisy else 2.0)
        self._longest = math.inf if budget is None else max(self._screen, budget // 4)
        self._model = FeatureModel(places.size, options.n_features, self.generator)
        self._count = 0
        """Number of evaluations so far, missed ones included."""
        self._told: set[bytes] = set()
        """Keys of the rows with a known score; codes only."""

    def _propose(self) -> Tensor:
        silent = self._model.heard < HEARD and self._count < self._longest
        if self._count < self._screen or silent or len(self._model) < 2:
            return self._starts(max(self._screen - self._count, min(self.options.batch, self._screen)))
        rows = self._peak()
        count = self.options.batch - 1
        if count:
            draws = self._model.draws(count, self._inflation, self.generator)
            rows = torch.cat([rows, self._climb(draws, self._begun(draws, rows))])
        return self._fresh(self._places.latents(rows))

    def _begun(self, draws: Tensor, peak: Tensor) -> Tensor:
        """Return the start of each draw's climb: the latent that it rates highest among the evaluated ones, the peak and new ones."""
        new = self._places.rows(self._natural(NEW))
        return self._model.best_of(draws, torch.cat([peak, new]))

    def _natural(self, n: int) -> Tensor:
        """Return ``n`` natural latents or, blind, uniform draws."""
        space, bank = self.problem.latent, self.problem.bank
        if bank is None:
            return space.sample(n, self.generator)
        return bank[torch.randint(len(bank), (n,), generator=self.generator)].cpu()

    def _fresh(self, latents: Tensor) -> Tensor:
        """Return the candidates; without noise, codes that are known or in the batch already are varied until they are new."""
        places = self._places
        if isinstance(places, BoxCoordinates) or self.problem.noisy:
            return latents
        taken = set(self._told)
        for number in range(len(latents)):
            for _ in range(VARIED):
                if _key(places.rows(latents[number : number + 1])) not in taken:
                    break
                latents[number] = places.varied(latents[number], self.generator)
            taken.add(_key(places.rows(latents[number : number + 1])))
        return latents

    def _peak(self) -> Tensor:
        """Return the peak of the posterior's mean, in the model's coordinates: (1, size)."""
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

    def observe(self, evaluations: Evaluations) -> None:
        """Add other searches' evaluations, scored for this search's objective, to the model."""
        self._add(evaluations.latents.detach().cpu(), evaluations.scores.detach().cpu().double())

    def recommend(self) -> Tensor:
        """Return the best latent evaluated; where the problem is noisy, the peak of the posterior's mean: (*latent).

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        best = super().recommend()
        if not self.problem.noisy or self._count < self._screen or self._model.heard < 2:
            return best
        return self._places.latents(self._peak())[0]

    def _add(self, latents: Tensor, scores: Tensor) -> None:
        told = scores.isfinite()
        if bool(told.any()):
            rows = self._places.rows(latents[told])
            self._model.add(rows, scores[told])
            self._note(rows)

    def _note(self, rows: Tensor) -> None:
        if isinstance(self._places, CodeCoordinates):
            self._told.update(map(_key, rows))

    def _state(self) -> dict[str, Any]:
        return {"model": self._model.state(), "count": self._count}

    def _restore(self, state: State) -> None:
        self._model.restore(state["model"])
        self._count = int(state["count"])
        self._told.clear()
        self._note(self._model.rows)


def _key(row: Tensor) -> bytes:
    return row.numpy().tobytes()
