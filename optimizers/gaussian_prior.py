"""What natural latents of a box look like, as a Gaussian, also for a blind search."""

from __future__ import annotations

import math

import torch

from ..models.densities import GaussianDensity
from ..models.spaces import Box
from .optimizer import Problem


def gaussian_prior(problem: Problem) -> GaussianDensity:
    """The problem's density where that is a Gaussian, one fitted to its bank, or, blind, the uniform draw's mean and deviation.

    Parameters
    ----------
    problem : Problem
        Over a Box.
    """
    space = problem.latent
    assert isinstance(space, Box)
    density = problem.density() if problem.density is not None else None
    if isinstance(density, GaussianDensity):
        return density
    if problem.bank is not None:
        return GaussianDensity.fit(space, problem.bank)
    middle, deviation = (space.low + space.high) / 2, (space.high - space.low) / math.sqrt(12)
    return GaussianDensity(space, torch.full((space.size,), middle), torch.full((space.size,), deviation))
