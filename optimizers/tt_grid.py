"""A tensor train over a box: natural latents on a grid, tilted by a model of all evaluations, with levels that follow its mass."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..models.densities.diagonal import DiagonalTrain
from ..models.options import OptionsModel
from ..models.spaces import Box
from .optimizer import Evaluations, Problem, State, Unsuitable
from .refined_grid import NaturalLevels, moments, refined
from .searcher import Searcher
from .separable_model import fitted

LARGEST = 256
"""Most coordinates."""
SPHERE = 64
"""Coordinates from which natural latents lie near a sphere, so that the mean is kept on it."""
STEP = 1.0
"""Greatest step of the mean in 20 evaluations: root mean square a coordinate, in spreads; on a sphere half of it."""
FEW = 5
"""Fewest evaluations for a model."""
UNKNOWN = 2000
"""Assumed number of evaluations where it is unknown."""
MEMORY = 4096
"""Most evaluations of a fit; the latest are taken."""


class TTGrid(Searcher):
    """Samples of a tensor train over a grid of levels, tilted towards high scores; the levels are refined where the mass goes.

    Every coordinate has ``levels`` levels, at first between quantiles of the bank or, blind, even in the box. On them natural latents are a
    mixture of ``rank`` products, a tensor train with diagonal cores (:class:`actmax.models.densities.diagonal.DiagonalTrain`). All
    evaluations, with most weight near the present mean, fit one parabola a coordinate (:mod:`actmax.optimizers.separable_model`). The
    target density is the natural one times a Gaussian factor a coordinate, so again a train of the same rank: it is sampled exactly, and
    components that the tilt makes improbable drop out. Its mean goes to the parabolas' peak, at most one spread in 20 evaluations, a trust
    region as of Abdolmaleki et al. ("Model-based relative entropy stochastic search", 2015). Its spread falls to ``final`` of the natural
    one over the run, evenly in the logarithm, as SphereCMA's angle does, and faster in coordinates of greater curvature. Then the levels
    move to where the target density has its mass, so that precision grows there. Within a level samples are uniform.

    Natural latents of 64 coordinates and more lie near a sphere, and their length is a picture's contrast: the mean is then kept at the
    length at which samples are as long as natural latents. The first candidate of an ask is the mean at natural length, which is
    recommended under noise.

    Measured on benchmarks/search, 2 to 3 seeds each, medians. Evaluations to .9 of the peak over 32 coordinates, blind: bump 241,
    normalised ReLU net 277 (``thompson`` 131, 191; ``tt-cross`` 335, 521; ``cma`` 490, 543; ``protes`` never). Recommended after 3,000
    under Poisson noise: .91 and .83 of the peak (``thompson`` .98, .94; ``sphere-cma`` .88, .81; ``cma`` .83, .81; ``protes`` .31, .66;
    ``tt-cross`` .23, .50). From an SN-GAN's 128 natural coordinates to a spiking network, three units, two seeds, 2,000 evaluations: 13
    14 15 12 20 20 spikes (``sphere-cma`` 13 13 15 12 20 20; of the first seed alone, ``thompson`` 11 11 20, ``tt-cross`` 11 10 19,
    ``protes`` 9 8 19); blind 13 12 9 11 20 20 (``sphere-cma`` 11 13 14 11 20 20). Variants, one or two seeds: without keeping the natural
    length 11 9 20. Products of pairs of coordinates in the model, which would raise the train's rank, gain little under Poisson noise
    (ReLU net .87 instead of .85, bump .94 instead of .93) and nothing without, with 561 features instead of 65.

    Parameters
    ----------
    problem : Problem
        Over a Box of at most 256 coordinates. Its ``evaluations`` set how fast the spread falls.
    options : TTGrid.Options

    Raises
    ------
    Unsuitable
        The space is Categorical, or has too many coordinates.
    """

    class Options(OptionsModel):
        """Options of the tensor train on a refined grid."""

        batch: int = Field(default=20, ge=1, le=100_000, description="Candidates an ask.")
        levels: int = Field(default=16, ge=2, le=1024, description="Levels a coordinate.")
        rank: int = Field(default=8, ge=1, le=256, description="Components of natural latents' mixture, the rank of the train.")
        screen: int = Field(
            default=60, ge=FEW, le=100_000, description="Natural (blind: uniform) latents evaluated first, no more than a tenth."
        )
        final: float | None = Field(
            default=None,
            gt=0,
            le=1,
            description="Spread at the end, as a share of the natural one. None: 0.2, where responses are noisy 0.4.",
        )

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem)
        self.options = options
        space = problem.latent
        if not isinstance(space, Box):
            raise Unsuitable("tt-grid searches boxes, not codes; tt-evolution and patch-evolution search codes")
        if space.size > LARGEST:
            raise Unsuitable(f"tt-grid models up to {LARGEST} coordinates, this box has {space.size}; use sphere-cma or cma")
        self._space = space
        self._budget = problem.evaluations or UNKNOWN
        self._screen = min(options.screen, max(FEW, self._budget // 10))
        bank = None if problem.bank is None else problem.bank.detach().cpu().flatten(1)
        self._natural = NaturalLevels.of(space, bank, options.levels, options.rank, torch.Generator().manual_seed(problem.seed))
        self._on_sphere = bank is not None and space.size >= SPHERE
        self._final = options.final or (0.4 if problem.noisy else 0.2)
        self._centre, self._variance = moments(self._natural.train(self._natural.edges), self._natural.edges)
        self._edges = self._natural.edges
        self._mean, self._spread = self._centre, self._variance
        """Mean and variance of the Gaussian whose ratio to the natural one is the tilt: (size,) float64."""
        self._train = self._tilted(self._edges)
        self._middle, self._width = self._centre, self._variance.sqrt()
        """Mean and deviation of the train's margins."""
        self._rows = torch.empty(0, space.size)
        self._scores = torch.empty(0, dtype=torch.float64)
        self._told, self._fresh = 0, 0
        """Number of evaluations so far, and since the last fit."""

    def _propose(self) -> Tensor:
        n = self.options.batch
        if len(self._scores) < self._screen:
            return self._starts(n)
        rows = self._drawn(n)
        if n > 1:
            rows[0] = self._answer()
        return rows.view(n, *self._space.shape)

    def _drawn(self, n: int) -> Tensor:
        """Return samples of the train, uniform within their levels: (n, size)."""
        at = self._train.sample(n, self.generator).T
        low, high = self._edges.gather(1, at), self._edges.gather(1, at + 1)
        rows = torch.lerp(low, high, torch.rand(low.shape, generator=self.generator, dtype=torch.float64)).T
        return rows.float().clamp_(self._space.low, self._space.high)

    def _answer(self) -> Tensor:
        """Return the mean, at natural length where natural latents lie on a sphere: (size,)."""
        answer = self._middle
        if self._on_sphere:
            deviation = self._variance.sqrt()
            standard = (answer - self._centre) / deviation
            answer = self._centre + deviation * standard * (self._space.size**0.5 / float(standard.norm().clamp(min=1e-9)))
        return answer.float().clamp(self._space.low, self._space.high)

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        self._told += len(scores)
        self._fresh += len(scores)
        self._take_in(latents.cpu().flatten(1), scores)
        if len(self._scores) >= self._screen and bool((self._scores != self._scores[0]).any()):
            self._refit()

    def observe(self, evaluations: Evaluations) -> None:
        """Add other searches' evaluations to the model; the best candidate of all searches is recommended.

        Parameters
        ----------
        evaluations : Evaluations
            Candidates of other searches, scored for this search's objective.
        """
        rows = evaluations.latents.detach().cpu().flatten(1)
        scores = evaluations.scores.detach().to("cpu", torch.float64)
        self._take_in(rows, scores)
        known = torch.where(scores.isnan(), -torch.inf, scores)
        if len(known) and float(known.max()) > self._best_score:
            self._best = rows[int(known.argmax())].clone().view(self._space.shape)
            self._best_score = float(known.max())

    def _take_in(self, rows: Tensor, scores: Tensor) -> None:
        known = scores.isfinite()
        self._rows = torch.cat([self._rows, rows[known].float()])[-MEMORY:]
        self._scores = torch.cat([self._scores, scores[known]])[-MEMORY:]

    def _refit(self) -> None:
        """Fit the model, and set the target's mean and spread and the levels."""
        model = fitted(self._rows, self._scores, self._middle, self._width)
        step = model.step(STEP * (0.5 if self._on_sphere else 1.0) * min(self._fresh / 20, 2.0))
        self._fresh = 0
        factor = self._final ** (2 * min(1.0, self._told / self._budget))
        # the natural density contributes its own precision: without a tilt the variance stays natural
        self._spread = 1 / (1 / self._variance + model.shape / (self._variance * factor))
        wanted = self._middle + self._width * step
        if self._on_sphere:
            deviation = self._variance.sqrt()
            standard = (wanted - self._centre) / deviation
            length = math.sqrt(max(float((1 - self._spread / self._variance).sum()), 0.0))
            wanted = self._centre + deviation * standard * (length / float(standard.norm().clamp(min=1e-9)))
        self._mean = wanted.clamp(self._space.low, self._space.high)
        self._edges = refined(self._tilted(self._edges), self._edges)
        self._settle()

    def _settle(self) -> None:
        self._train = self._tilted(self._edges)
        self._middle, variance = moments(self._train, self._edges)
        self._width = variance.sqrt()

    def _tilted(self, edges: Tensor) -> DiagonalTrain:
        """Return natural latents on levels of these edges, times the ratio of the target Gaussian to the natural one."""
        middles = (edges[:, 1:] + edges[:, :-1]) / 2
        gains = (middles - self._centre[:, None]).square() / (2 * self._variance[:, None])
        gains = gains - (middles - self._mean[:, None]).square() / (2 * self._spread[:, None])
        return self._natural.train(edges).tilted(gains)

    def recommend(self) -> Tensor:
        """Return the mean where the problem is noisy, otherwise the best candidate evaluated: (*latent).

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        best = super().recommend()
        refitted = self._edges is not self._natural.edges
        return self._answer().view(self._space.shape) if self.problem.noisy and refitted else best

    def _state(self) -> dict[str, Any]:
        return {
            "rows": self._rows.clone(),
            "scores": self._scores.clone(),
            "told": self._told,
            "fresh": self._fresh,
            "edges": None if self._edges is self._natural.edges else self._edges.clone(),
            "mean": self._mean.clone(),
            "spread": self._spread.clone(),
        }

    def _restore(self, state: State) -> None:
        self._rows, self._scores = state["rows"].clone(), state["scores"].clone()
        self._told, self._fresh = int(state["told"]), int(state["fresh"])
        self._mean, self._spread = state["mean"].clone(), state["spread"].clone()
        self._edges = self._natural.edges if state["edges"] is None else state["edges"].clone()
        self._settle()
