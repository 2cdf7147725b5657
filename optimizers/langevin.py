"""Langevin sampling between a prior and a score: the search of PPGN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor

from ..models.spaces import Box, Categorical
from .gaussian_prior import gaussian_prior
from .gradient_searcher import GradientOptions, GradientSearcher, inverse_norm, over_norm
from .gumbel import WIDEST, gumbel, gumbel_slope, noise_behind, normal
from .optimizer import Problem

SMOOTHING = 20.0
"""Pseudo-counts of every position: a third by its own frequencies, a third by the mean over positions, a third even."""


class Langevin(GradientSearcher):
    """A walk that is pulled to the prior, climbs the score and is shaken.

    Nguyen, Clune, Bengio, Dosovitskiy and Yosinski, "Plug & play generative networks", 2017 (PPGN), equation 5::

        x <- x + e1 d log p(x) / dx + e2 d score / dx + N(0, e3^2)

    Here all three are taken in the prior's own coordinates, z with x = m + C^(1/2) z, in which natural latents are standard normal:
    ``z <- z - e1 z + e2 u + e3 N(0, 1)`` with u the score's gradient there, scaled to unit root mean square unless ``normalise`` is off.
    With ``noise`` None, e3² = e1 (2 - e1): the walk then keeps the prior exactly where the score is flat. Unnormalised, a small
    e1 = e2 / k samples the prior times exp(k score). The prior of a Box is the problem's density, a Gaussian; blind, a Gaussian with a
    uniform draw's mean and deviations.

    Over codes, z are standard normal coordinates that Gumbel noise is made from: the code asked is the largest of ``log p + gumbel(z)``
    at each position, with p the smoothed frequencies of the bank's codes there (blind: uniform). Where the score is flat, the walk
    samples these frequencies position by position; this prior has no correlations between positions. An ascent starts from coordinates
    drawn given the codes of a row of the bank.

    Parameters
    ----------
    problem : Problem
        Any space.
    options : Langevin.Options
    """

    class Options(GradientOptions):
        """Options of Langevin sampling."""

        prior_rate: float = Field(
            default=0.01, ge=0, le=1, allow_inf_nan=False, description="e1: share of the distance to the prior's mean lost at every step."
        )
        score_rate: float = Field(
            default=0.05,
            ge=0,
            le=1e6,
            allow_inf_nan=False,
            description="e2: climb at every step, in standard deviations of the prior a coordinate.",
        )
        noise: float | None = Field(
            default=0.01,
            ge=0,
            le=1e3,
            allow_inf_nan=False,
            description="e3: noise at every step, in standard deviations of the prior. None: what balances e1.",
        )
        normalise: bool = Field(
            default=True, description="Scale the score's gradient to unit root mean square; else e2 is times the score's own scale."
        )

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem, options)
        self.options = options
        e1 = options.prior_rate
        self._noise = torch.empty(0)
        """The Gumbel noise in the codes last asked."""
        self._shake = math.sqrt(e1 * (2.0 - e1)) if options.noise is None else options.noise

    @cached_property
    def _gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean, (size,), and square root of the covariance, (size, size) or its diagonal, of the Gaussian prior."""
        device = self.problem.device
        prior = gaussian_prior(self.problem)
        return prior.mean.float().to(device), prior.factor.float().to(device)

    @cached_property
    def _log_frequencies(self) -> Tensor:
        """Log frequencies of the codes at every position: float32, (*latent, cardinality), on the CPU."""
        space, bank = self.problem.latent, self.problem.bank
        assert isinstance(space, Categorical)
        if bank is None:
            return torch.full((*space.shape, space.cardinality), -math.log(space.cardinality))
        rows = bank.cpu().flatten(1).long()
        counts = torch.zeros(space.size, space.cardinality).scatter_add_(1, rows.T, torch.ones(rows.T.shape))
        each = counts / len(rows)
        background = (each + each.mean(0) + 1.0 / space.cardinality) / 3.0
        return ((counts + SMOOTHING * background) / (len(rows) + SMOOTHING)).log().view(*space.shape, space.cardinality)

    def _advance(self, gradient: Tensor) -> None:
        options = self.options
        shaken = torch.randn(self._points.shape, generator=self.generator).to(self._points)
        if isinstance(self.problem.latent, Categorical):
            slope = gumbel_slope(self._points, self._noise).mul_(gradient)
            rate = options.score_rate * inverse_norm(slope, mean=True) if options.normalise else options.score_rate
            moved = self._points.mul_(1.0 - options.prior_rate).add_(slope.mul_(rate))
            moved.add_(shaken, alpha=self._shake).clamp_(-WIDEST, WIDEST)
            return
        mean, factor = self._gaussian

        def spread(white: Tensor) -> Tensor:
            return white @ factor if factor.ndim == 2 else white * factor

        slope = spread(gradient.flatten(1))  # d score / dz; the factor is symmetric
        climb = over_norm(slope, mean=True) if options.normalise else slope
        flat = self._points.flatten(1)
        flat = flat + options.prior_rate * (mean - flat) + spread(options.score_rate * climb + self._shake * shaken.flatten(1))
        self._points = flat.view_as(self._points)

    def _logits(self) -> Tensor:
        self._noise = gumbel(self._points)
        return self._log_frequencies.to(self._points.device) + self._noise

    def _place(self, rows: Sequence[int], latents: Tensor) -> None:
        if isinstance(self.problem.latent, Box):
            super()._place(rows, latents)
            return
        noise = noise_behind(latents.cpu().long(), self._log_frequencies, self.generator)
        self._points[list(rows)] = normal(noise).float().to(self._points.device)
