"""Densities over latents, fitted to banks of natural ones."""

from __future__ import annotations

from torch import Tensor

from ..spaces import Box, LatentSpace
from .density import Density
from .gaussian import GaussianDensity
from .products import ProductsDensity

__all__ = ["Density", "GaussianDensity", "ProductsDensity", "fit_density"]


def fit_density(space: LatentSpace, bank: Tensor) -> Density:
    """Return a density fitted to a bank of natural latents: a Gaussian in a Box, a tensor train over codes.

    Parameters
    ----------
    space : Box or Categorical
        The space of the latents.
    bank : Tensor
        (m, *latent), m >= 1.
    """
    return GaussianDensity.fit(space, bank) if isinstance(space, Box) else ProductsDensity.fit(space, bank)
