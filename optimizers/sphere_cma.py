"""SphereCMA: evolution on a sphere of latents with natural norm."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..models.options import OptionsModel
from ..models.spaces import Box
from .natural_scale import natural_scale
from .optimizer import Evaluations, Problem, State, Unsuitable
from .searcher import Searcher

GENERATIONS = 75
"""Generations until the final angle where the evaluations are unknown: 3000 images at 40 a generation, as published."""

Schedule = Literal["exponential", "inverse", "linear"]
Weights = Literal["rank", "linear"]


class SphereCMA(Searcher):
    """SphereCMA: rank-weighted recombination on a sphere, with an angle that shrinks on a schedule.

    Wang and Ponce, "High-performance evolutionary algorithms for online neuron control", GECCO 2022. By their results, CMA succeeds in
    a generator's latents through its decaying angular step, not its covariance: latents lie near a sphere, and their length changes
    a picture's contrast more than its content. A generation is the base point itself and ``population`` tangent vectors, isotropic
    normal of expected length ``angle``, carried onto the sphere by its exponential map. The ``parents`` best of them, weighted by the
    logarithm of their rank, are averaged and projected to the sphere; the base moves towards that point by ``extrapolate`` times its
    angular distance. First comes a generation without a base.

    ``weights: linear`` is not in the paper: every sample is weighted by the difference of its score from the generation's mean, so bad
    samples count against their direction. The base moves ``stride`` times the angle along the sum. For a score that is linear over
    the generation this is the least squares estimate of its slope, with nearly twice the information of the better half's ranks; its
    gain is in docs/search.md. Where all scores are equal, the base moves to one of the samples and the angle stays.

    The centre of the sphere is the bank's mean, in coordinates scaled by the bank's standard deviations, and its radius is the bank's
    median norm; the first generation is rows of the bank, projected to the sphere. Blind, the centre is the middle of the box and the
    radius the expected norm of uniform draws. Samples outside the box are clipped, and count by their direction. Missed trials are left
    out of the ranking; a generation without a score is drawn again at the same angle.

    Where the problem is noisy it recommends the base point, which no single lucky trial decides; otherwise the best candidate.

    Parameters
    ----------
    problem : Problem
        A Box of at least 2 coordinates. Its ``evaluations`` set when the final angle is reached.
    options : SphereCMA.Options

    Raises
    ------
    Unsuitable
        The space is Categorical or has one coordinate.
    """

    class Options(OptionsModel):
        """Options of SphereCMA; defaults are the published ones."""

        population: int = Field(default=40, ge=2, le=100_000, description="Samples a generation, beside the base point.")
        parents: int | None = Field(default=None, ge=1, le=100_000, description="Best samples recombined. None: half the population.")
        extrapolate: float = Field(
            default=1.5, gt=0, le=10, allow_inf_nan=False, description="Share of the way to the parents' mean that the base moves."
        )
        weights: Weights = Field(
            default="rank",
            description="How samples count: by the logarithm of their rank in the better half, or all of them by their scores.",
        )
        stride: float = Field(
            default=0.45, gt=0, le=10, allow_inf_nan=False, description="Of the base with linear weights, as a share of the angle."
        )
        schedule: Schedule = Field(
            default="exponential", description="How the angle goes from initial to final: its logarithm, inverse or itself evenly."
        )
        initial_angle: float = Field(default=50.0, gt=0, le=180, description="Of the first samples around a base, degrees.")
        final_angle: float = Field(default=7.33, gt=0, le=180, description="Of the last, degrees.")
        radius: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False, description="Of the sphere, in natural norms.")

        @model_validator(mode="after")
        def _fits(self) -> SphereCMA.Options:
            if self.parents is not None and self.parents > self.population:
                raise ValueError(f"parents {self.parents} are more than the population, {self.population}")
            return self

    needs_gradient: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Options) -> None:
        space = problem.latent
        if not isinstance(space, Box):
            raise Unsuitable("sphere-cma takes real-valued latents; search codes with patch-evolution, tt-cross, protes or nevergrad")
        if space.size < 2:
            raise Unsuitable("sphere-cma needs at least 2 coordinates, for one has no sphere to move on; use cma")
        super().__init__(problem)
        self.options = options
        self.space = space
        self._centre, self._scale = natural_scale(space, problem.bank)
        if problem.bank is None:
            norm = math.sqrt(space.size / 3.0)  # uniform draws have the variance 1/3 in half widths
        else:
            norm = float(self._standard(problem.bank.cpu()).norm(dim=1).median()) or 1.0
        self.radius = options.radius * norm
        expected = math.ceil(problem.evaluations / (options.population + 1)) if problem.evaluations else GENERATIONS
        self._generations = max(expected - 1, 1)  # the first has no angle
        self._generation = 0
        self._base: Tensor | None = None
        """(size,) on the sphere, float64; None until the first generation is evaluated."""

    @property
    def angle(self) -> float:
        """Expected angle between the base and the samples of the next generation, radians."""
        share = min(self._generation / max(self._generations - 1, 1), 1.0)
        initial, final = math.radians(self.options.initial_angle), math.radians(self.options.final_angle)
        if self.options.schedule == "exponential":
            return initial * (final / initial) ** share
        if self.options.schedule == "inverse":
            return 1 / ((1 - share) / initial + share / final)
        return (1 - share) * initial + share * final

    def _propose(self) -> Tensor:
        if self._base is None:
            given = self._given(self.options.population)
            start = self._latents(project(self._standard(self._starts(self.options.population - len(given))), self.radius))
            return torch.cat([given, start]) if len(given) else start
        noise = torch.randn(self.options.population, self.space.size, generator=self.generator).double()
        unit = self._base / self._base.norm()
        tangents = (noise - (noise @ unit)[:, None] * unit) * (self.angle / math.sqrt(self.space.size))
        return self._latents(torch.cat([self._base[None], exponential_map(self._base, tangents)]))

    def _learn(self, latents: Tensor, scores: Tensor, evaluations: Evaluations) -> None:
        points = project(self._standard(latents), self.radius)
        if self._base is not None:
            points, scores = points[1:], scores[1:]  # the base is no displacement
        told = ~scores.isnan()
        points, scores = points[told], scores[told]
        if not len(points):
            return
        if self.options.weights == "linear" and self._base is not None:
            if bool((scores == scores[0]).all()):  # no slope, as for a silent neuron: search elsewhere at the same angle
                self._base = points[int(torch.randint(len(points), (1,), generator=self.generator))]
                return
            self._base = self._along_slope(self._base, points, scores)
            self._generation += 1
            return
        parents = min(self.options.parents or self.options.population // 2, len(points))
        if self._base is None and self.problem.starts is not None:  # the base begins near the starts, not amid natural latents
            parents = min(parents, max(1, len(self.problem.starts) // 2))
        best = points[scores.argsort(descending=True, stable=True)[:parents]]
        goal = rank_weights(parents) @ best
        if float(goal.norm()) > 0:
            goal = project(goal[None], self.radius)[0]
            self._base = goal if self._base is None else slerp(self._base, goal, self.options.extrapolate, self.radius)
        if len(latents) > self.options.population:  # a generation around a base, and so with an angle
            self._generation += 1

    def _along_slope(self, base: Tensor, points: Tensor, scores: Tensor) -> Tensor:
        """Return ``base``, (size,), moved along the slope of the scores over ``points``, (n, size)."""
        unit = base / base.norm()
        directions = points - (points @ unit)[:, None] * unit
        slope = (scores - scores.mean()) @ (directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-300))
        tangent = self.options.stride * self.angle / max(float(slope.norm()), 1e-300) * slope
        return project(exponential_map(base, tangent[None]), self.radius)[0]

    def recommend(self) -> Tensor:
        """Return the base point where the problem is noisy, otherwise the best candidate evaluated: (*latent).

        Raises
        ------
        RuntimeError
            No score is known yet.
        """
        if self.problem.noisy and self._base is not None:
            return self._latents(self._base[None])[0]
        return super().recommend()

    def _standard(self, latents: Tensor) -> Tensor:
        return (latents.flatten(1).double() - self._centre) / self._scale

    def _latents(self, points: Tensor) -> Tensor:
        rows = (self._centre + self._scale * points).float()
        return rows.clamp_(self.space.low, self.space.high).view(-1, *self.space.shape)

    def _state(self) -> dict[str, Any]:
        return {"base": None if self._base is None else self._base.clone(), "generation": self._generation}

    def _restore(self, state: State) -> None:
        self._base = None if state["base"] is None else state["base"].clone()
        self._generation = int(state["generation"])


def rank_weights(parents: int) -> Tensor:
    """Return CMA's recombination weights, ln(parents + 1/2) - ln(rank), normalised to the sum 1: float64, (parents,)."""
    weights = math.log(parents + 0.5) - torch.arange(1, parents + 1, dtype=torch.float64).log()
    return weights / weights.sum()


def project(points: Tensor, radius: float) -> Tensor:
    """Return points, (n, size), moved along their rays to the norm ``radius``; a point at the origin moves along the first axis."""
    norms = points.norm(dim=1, keepdim=True)
    axis = torch.zeros_like(points)
    axis[:, 0] = 1.0
    return radius * torch.where(norms > 0, points / norms.clamp(min=1e-300), axis)


def exponential_map(base: Tensor, tangents: Tensor) -> Tensor:
    """Return the end points of geodesics from ``base`` along ``tangents``: cos|v| base + sin|v| |base| v / |v|.

    Parameters
    ----------
    base : Tensor
        (size,), a point of a sphere around the origin.
    tangents : Tensor
        (n, size), orthogonal to ``base``; their lengths are angles, in radians.

    Returns
    -------
    Tensor
        (n, size), of the norm of ``base``.
    """
    angles = tangents.norm(dim=1, keepdim=True)
    return angles.cos() * base + torch.sinc(angles / math.pi) * base.norm() * tangents


def slerp(start: Tensor, end: Tensor, share: float, radius: float) -> Tensor:
    """Return a point on the great circle through two points of a sphere.

    Parameters
    ----------
    start, end : Tensor
        (size,), on the sphere.
    share : float
        Share of the way from ``start`` to ``end``; above 1 the point lies beyond ``end``.
    radius : float
        Of the sphere around the origin.

    Returns
    -------
    Tensor
        (size,); ``start`` where both points are the same or opposite.
    """
    unit = start / start.norm()
    tangent = end - (end @ unit) * unit
    angle = torch.atan2(tangent.norm(), end @ unit)
    if float(tangent.norm()) < 1e-12 * radius:  # the same point, or opposite points, between which no great circle is unique
        return start
    moved = exponential_map(radius * unit, (share * angle * tangent / tangent.norm())[None])
    return project(moved, radius)[0]
