"""Normalised gradient ascent with a decay and a clip to the prior: the search of DGN-AM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ..models.spaces import Box
from .gaussian_prior import gaussian_prior
from .gradient_searcher import MARGIN, GradientOptions, GradientSearcher, inverse_norm
from .optimizer import Problem, State

STEPS = 200
"""Steps of one ascent where the number of evaluations is unknown, as in the paper."""


class NormalisedAscent(GradientSearcher):
    """Steps of a given, falling length along the gradient; the latent decays to the prior's mean and is clipped around it.

    Nguyen, Dosovitskiy, Yosinski, Brox and Clune, "Synthesizing the preferred inputs for neurons in neural networks via deep generator
    networks", 2016 (DGN-AM). At step t of T, with g the score's gradient and m the prior's mean::

        x <- x + s_t g / |g|,   s_t from s_0 to s_0 × 1e-10 in a straight line
        x <- m + decay (x - m)
        x <- clipped to m +- clip × the prior's standard deviations, and to the box

    The paper's first step, 8 in AlexNet's codes, is here a share of the prior's size: the root of its summed variances, the typical
    distance of natural latents from their mean. Blind, mean and deviations are a uniform draw's. Logits of codes begin at 1 for the
    starting code and at 0 for all others; their prior has the mean 0 and the deviation 1.

    Parameters
    ----------
    problem : Problem
        Any space.
    options : NormalisedAscent.Options
    """

    class Options(GradientOptions):
        """Options of normalised ascent."""

        step: float | None = Field(
            default=None,
            gt=0,
            le=1e3,
            allow_inf_nan=False,
            description="First step as a share of natural latents' distance from their mean. None: 5 for codes, 0.3 in a box.",
        )
        steps: int | None = Field(
            default=None,
            ge=1,
            le=10**9,
            description="Steps of one ascent, after which it begins again. None: as many as the expected evaluations allow, "
            "200 when their number is unknown.",
        )
        last_step: float = Field(
            default=1e-10, gt=0, le=1, allow_inf_nan=False, description="Last step's length as a share of the first's."
        )
        decay: float = Field(
            default=0.99, gt=0, le=1, allow_inf_nan=False, description="Share of the distance from the prior's mean kept at every step."
        )
        clip: float = Field(
            default=3.0,
            gt=0,
            le=1e6,
            allow_inf_nan=False,
            description="Standard deviations of the prior that a coordinate may be off its mean.",
        )

    def __init__(self, problem: Problem, options: Options) -> None:
        super().__init__(problem, options)
        self.options = options
        self._age = torch.zeros(options.batch, dtype=torch.long)
        """Number of steps done by each ascent."""
        total = None if problem.evaluations is None else (problem.evaluations - self._screen) // options.batch
        self._life = options.steps or max(total or STEPS, 1)

    @cached_property
    def _around(self) -> tuple[Tensor, Tensor, float]:
        """Mean and deviation of every coordinate, and the typical distance of natural latents from the mean."""
        space = self.problem.latent
        if not isinstance(space, Box):
            mean = torch.zeros((), device=self.problem.device)
            return mean, mean + MARGIN, MARGIN * space.size**0.5
        prior = gaussian_prior(self.problem)
        variance = prior.factor.square() if prior.factor.ndim == 1 else prior.factor.square().sum(1)
        mean, deviation = (part.float().view(space.shape).to(self.problem.device) for part in (prior.mean, variance.sqrt()))
        return mean, deviation, float(variance.sum().sqrt())

    def _advance(self, gradient: Tensor) -> None:
        mean, deviation, size = self._around
        options = self.options
        first = size * (options.step or (0.3 if isinstance(self.problem.latent, Box) else 5.0))
        done = (self._age / max(self._life - 1, 1)).clamp(max=1.0)
        lengths = first * (1.0 + (options.last_step - 1.0) * done)
        lengths = lengths.to(gradient).view(-1, *[1] * (gradient.ndim - 1))
        self._points.addcmul_(gradient, lengths * inverse_norm(gradient)).lerp_(mean, 1.0 - options.decay)
        self._points.clamp_(mean - options.clip * deviation, mean + options.clip * deviation)
        self._age += 1
        self._idle[self._age >= self._life] = options.patience

    def _place(self, rows: Sequence[int], latents: Tensor) -> None:
        super()._place(rows, latents)
        self._age[list(rows)] = 0

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "age": self._age.clone()}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        self._age = state["age"].cpu().clone()
