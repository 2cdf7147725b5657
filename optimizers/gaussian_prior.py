"""The Gaussian prior of a box's latents, also for a blind search."""

from __future__ import annotations

import math

import torch

from ..models.densities import GaussianDensity
from ..models.spaces import Box
from .optimizer import Problem


def gaussian_prior(problem: Problem) -> GaussianDensity:
    """Return the Gaussian density of a problem's latents.

    Parameters
    ----------
    problem : Problem
        Over a Box.

    Returns
    -------
    GaussianDensity
        The problem's own density where it is Gaussian, else one fitted to its bank; blind, one with a uniform draw's mean and deviation.
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
