"""The Density contract."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Density(Protocol):
    """A probability density (over codes, a mass function) on a latent space."""

    def log_density(self, latents: Tensor) -> Tensor:
        """Return the log densities of latents in nats, up to a constant: (n, *latent) -> (n,); differentiable for float latents."""
        ...

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` random latents of the space: (n, *latent), on the CPU."""
        ...
