"""Covariance matrix adaptation, with the `cmaes` package."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import cmaes
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box
from .natural_scale import natural_scale
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

LARGEST_COVARIANCE = 256
"""Coordinates up to which the covariance is a full matrix by default: at this size its updates cost some 10 ms a generation."""
LARGEST_POSSIBLE = 2048
"""Coordinates beyond which a full matrix is refused: one decomposition would take seconds."""

NEAR = 0.3
"""Initial step around a given start, as a share of the usual one."""

Covariance = Literal["full", "diagonal", "learning-rate-adapted"]
Array = np.ndarray[Any, np.dtype[np.float64]]


class CMA(Searcher):
    """CMA-ES: a normal distribution that learns from the ranks of its samples where to go, how far, and in which directions.

    Hansen, "The CMA evolution strategy: a tutorial", 2016 (``full``); Ros and Hansen, "A simple modification in CMA-ES achieving linear
    time and space complexity", 2008 (``diagonal``); Nomura, Akimoto and Ono, "CMA-ES with learning rate adaptation", 2023
    (``learning-rate-adapted``, for noisy and multimodal responses). The updates are those of Shibata's ``cmaes``; the samples are drawn
    here, a generation at once.

    With a bank, the search starts at the bank's mean with ``sigma`` times its standard deviation in every coordinate, so that the first
    generation looks natural. Blind, it starts at the middle of the box with ``sigma`` times half its width. Samples are clipped to the
    box, and the update uses the clipped ones. A missed trial takes the last rank with no displacement; a generation without a score is
    drawn again. Once converged, or when all scores are equal, the search restarts from a latent of the bank (blind: a uniform draw).
    With starts, it asks all of them first and begins at the first one with :data:`NEAR` times the usual step.

    Where the problem is noisy it recommends the distribution's mean, which no single lucky trial decides; otherwise the best candidate.

    Parameters
    ----------
    problem : Problem
        A Box.
    options : CMA.Options

    Raises
    ------
    Unsuitable
        The space is Categorical, or has more coordinates than a full covariance matrix can hold.
    """

    class Options(OptionsModel):
        """Options of CMA."""

        covariance: Covariance | None = Field(
            default=None, description=f"What is adapted. None: full up to {LARGEST_COVARIANCE} coordinates, diagonal beyond."
        )
        population: int | None = Field(
            default=None, ge=4, le=100_000, description="Candidates a generation. None: 4 + 3 ln(coordinates), rounded down."
        )
        sigma: float | None = Field(
            default=None,
            gt=0,
            le=100,
            allow_inf_nan=False,
            description="Initial step: in natural standard deviations (None: 1), blind in half widths of the box (None: 0.5).",
        )
        restart: bool = Field(default=True, description="Start again once converged.")

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        space = problem.latent
        if not isinstance(space, Box):
            raise Unsuitable("cma takes real-valued latents; search codes with patch-evolution, tt-cross, protes or nevergrad")
        self.covariance: Covariance = options.covariance or ("full" if space.size <= LARGEST_COVARIANCE else "diagonal")
        if self.covariance == "diagonal" and space.size == 1:  # one variance is the whole matrix, and SepCMA takes two or more
            self.covariance = "full"
        if self.covariance != "diagonal" and space.size > LARGEST_POSSIBLE:
            raise Unsuitable(
                f"a {self.covariance} covariance of {space.size} coordinates is beyond the {LARGEST_POSSIBLE} that can be decomposed "
                "every generation; use covariance diagonal, or sphere-cma"
            )
        super().__init__(problem)
        self.options = options
        self.space = space
        centre, scale = natural_scale(space, problem.bank)
        self._centre, self._scale = centre.numpy(), scale.numpy()
        self._any = False
        """Whether any score is known."""
        self._strategy = self._first()

    def _first(self) -> cmaes.CMA | cmaes.SepCMA:
        starts = self.problem.starts
        if starts is None or not len(starts):
            return self._fresh(np.zeros(self.space.size))
        return self._fresh((starts[0].flatten().double().cpu().numpy() - self._centre) / self._scale, NEAR)

    def _fresh(self, mean: Array, near: float = 1.0) -> cmaes.CMA | cmaes.SepCMA:
        """Return a strategy that begins at ``mean``, in standard coordinates. Its own random generator stays unused."""
        sigma = near * (self.options.sigma or (1.0 if self.problem.bank is not None else 0.5))
        if self.covariance == "diagonal":
            made = cmaes.SepCMA(mean, sigma, population_size=self.options.population, seed=0)
        else:
            adapted = self.covariance == "learning-rate-adapted"
            made = cmaes.CMA(mean, sigma, population_size=self.options.population, seed=0, lr_adapt=adapted)
        made._funhist_values[:] = 0.0  # cmaes leaves them uninitialised
        return made

    def _propose(self) -> Tensor:
        strategy = self._strategy
        noise = torch.randn(strategy.population_size, self.space.size, generator=self.generator).double().numpy()
        if isinstance(strategy, cmaes.CMA):
            basis, lengths = strategy._eigen_decomposition()
            steps = (noise * lengths) @ basis.T
        else:
            steps = noise * strategy._eigen_decomposition()
        found = self._latents(strategy._mean + strategy._sigma * steps)
        given = self._given(strategy.population_size)
        return torch.cat([given, found[len(given) :]]) if len(given) else found

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        told = scores.isfinite().numpy()
        if not told.any():
            return
        self._any = True
        strategy = self._strategy
        points = (latents.flatten(1).double().numpy() - self._centre) / self._scale
        points[~told] = strategy._mean
        losses = np.where(told, -scores.numpy(), np.inf)
        basis, lengths = getattr(strategy, "_B", None), strategy._D
        strategy.tell([(point, float(loss)) for point, loss in zip(points, losses, strict=True)])
        if isinstance(strategy, cmaes.CMA) and strategy.generation % self._gap(strategy):
            strategy._B, strategy._D = basis, lengths
        if not told.all():  # the strategy's history of worst losses must not hold the infinity of a missed trial
            at = 2 * (strategy.generation % strategy._funhist_term)
            strategy._funhist_values[at + 1] = losses[told].max()
        if self.options.restart and strategy.should_stop():
            start = self._starts(1).flatten().double().numpy()
            self._strategy = self._fresh((start - self._centre) / self._scale)

    def _gap(self, strategy: cmaes.CMA) -> int:
        """Return the number of generations that share one decomposition of a full covariance.

        In that time about 1 / (2 size) of the matrix is updated: pycma's rule (``lazy_update_gap``). With learning rate adaptation every
        generation is decomposed.
        """
        if self.covariance != "full":
            return 1
        return max(1, int(0.5 / (self.space.size * (strategy._c1 + strategy._cmu))))

    def recommend(self) -> Tensor:
        """Return the mean where the problem is noisy, otherwise the best candidate evaluated: (*latent).

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        if not (self.problem.noisy and self._any):
            return super().recommend()
        return self._latents(self._strategy._mean[None])[0]

    def _latents(self, points: Array) -> Tensor:
        """Return the latents of standard coordinates, (n, size), clamped to the box: (n, *latent)."""
        rows = torch.from_numpy(self._centre + self._scale * points)
        return rows.float().clamp_(self.space.low, self.space.high).view(-1, *self.space.shape)

    def _state(self) -> dict[str, Any]:
        return {"any": self._any, "strategy": {name: _plain(value) for name, value in vars(self._strategy).items() if name != "_rng"}}

    def _restore(self, state: State) -> None:
        self._any = bool(state["any"])
        self._strategy = self._first()
        for name, value in state["strategy"].items():
            setattr(self._strategy, name, value.numpy().copy() if isinstance(value, Tensor) else value)


def _plain(value: Any) -> Any:
    """Return arrays as tensors and numpy's scalars as Python's."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value.item() if isinstance(value, np.generic) else value
