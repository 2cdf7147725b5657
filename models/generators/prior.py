"""The prior of a generator: a bank of natural latents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..densities import Density, fit_density
from ..spaces import LatentSpace


@dataclass(frozen=True)
class Prior:
    """A bank of natural latents, without labels.

    Attributes
    ----------
    bank : Tensor
        (m, *latent), m >= 1: latents of natural stimuli, in the generator's own space (codes as int64).
    space : LatentSpace
        The space of the latents.
    """

    bank: Tensor
    space: LatentSpace

    @cached_property
    def density(self) -> Density:
        """The density of natural latents, fitted to the bank at the first use."""
        return fit_density(self.space, self.bank)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` latents of the bank, without a repeat until all have been drawn: (n, *latent)."""
        rows: list[Tensor] = []
        left = n
        while left > 0:
            rows.append(torch.randperm(self.bank.shape[0], generator=generator)[:left])
            left -= rows[-1].shape[0]
        return self.bank[torch.cat(rows)] if rows else self.bank[:0]
