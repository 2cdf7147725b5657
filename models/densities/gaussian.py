"""A Gaussian fitted to natural latents of a Box."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from ..spaces import Box

LARGEST_COVARIANCE = 1024
"""Coordinates up to which correlations are fitted; beyond, each coordinate has its own variance."""


class GaussianDensity:
    """Mean and covariance of natural latents; correlations up to 1024 coordinates.

    The covariance is shrunk towards its own diagonal by Schäfer and Strimmer's estimate ("A shrinkage approach to large-scale covariance
    matrix estimation", 2005, target D), so that the matrix of few samples isn't singular.

    Parameters
    ----------
    space : Box
        The space of the latents; samples are clipped to it.
    mean : Tensor
        (size,) mean.
    factor : Tensor
        Square root of the covariance: (size, size), symmetric, or its diagonal, (size,).
    """

    def __init__(self, space: Box, mean: Tensor, factor: Tensor) -> None:
        self.space = space
        self.mean = mean.double()
        self.factor = factor.double()
        self._inverse = torch.linalg.inv(self.factor) if factor.ndim == 2 else 1 / self.factor

    @classmethod
    def fit(cls, space: Box, bank: Tensor) -> Self:
        """Return the density fitted to ``bank``, (m, *latent)."""
        rows = bank.detach().cpu().flatten(1).double()
        m, size = rows.shape
        mean = rows.mean(0)
        floor = (1e-3 * (space.high - space.low)) ** 2
        centred = rows - mean
        variance = centred.square().sum(0) / max(m - 1, 1) + floor
        if m < 3 or size > LARGEST_COVARIANCE:
            return cls(space, mean, variance.sqrt())
        standard = centred / variance.sqrt()
        correlation = standard.T @ standard / (m - 1)
        spread = ((standard**2).T @ (standard**2) / m - (standard.T @ standard / m) ** 2) * (m / (m - 1) ** 2)
        off = ~torch.eye(size, dtype=torch.bool)
        total = correlation[off].square().sum()
        share = float((spread[off].sum() / total).clamp(0, 1)) if total > 0 else 1.0
        correlation = (1 - share) * correlation
        correlation.fill_diagonal_(1.0)
        covariance = variance.sqrt()[:, None] * correlation * variance.sqrt()
        values, vectors = torch.linalg.eigh(covariance)
        return cls(space, mean, (vectors * values.clamp(min=1e-12).sqrt()) @ vectors.T)

    def whiten(self, latents: Tensor) -> Tensor:
        """Return whitened coordinates, standard normal for natural latents: (n, *latent) -> (n, size)."""
        centred = latents.flatten(1) - self.mean.to(latents)
        inverse = self._inverse.to(latents)
        return centred @ inverse if inverse.ndim == 2 else centred * inverse

    def colour(self, white: Tensor) -> Tensor:
        """Return the latents of whitened coordinates, not clipped: (n, size) -> (n, *latent); the inverse of :meth:`whiten`."""
        factor = self.factor.to(white)
        return ((white @ factor if factor.ndim == 2 else white * factor) + self.mean.to(white)).view(-1, *self.space.shape)

    def log_density(self, latents: Tensor) -> Tensor:
        """Return the log densities of latents in nats, up to a constant: (n, *latent) -> (n,)."""
        return -0.5 * self.whiten(latents).square().sum(1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` draws, clipped to the box: float32, (n, *latent)."""
        white = torch.randn(n, self.space.size, generator=generator, dtype=torch.float64)
        return self.colour(white).float().clamp(self.space.low, self.space.high)
