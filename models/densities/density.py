"""The Density contract."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Density(Protocol):
    """A probability density (over codes, a mass function) on a latent space."""

    def log_density(self, latents: Tensor) -> Tensor:
        """(n, *latent) -> (n,) nats, up to a constant; differentiable with respect to float latents."""
        ...

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` latents of the space, drawn at random: (n, *latent), on the CPU."""
        ...
