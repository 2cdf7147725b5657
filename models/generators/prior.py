"""What natural latents look like: the prior that a search may start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prior:
    """A bank of natural latents, without labels.

    Attributes
    ----------
    bank : Tensor
        (m, *latent), m >= 1: latents of natural stimuli, in the generator's own space (codes as int64).
    """

    bank: Tensor

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` latents of the bank, drawn without replacement while they last: (n, *latent)."""
        rows: list[Tensor] = []
        left = n
        while left > 0:
            rows.append(torch.randperm(self.bank.shape[0], generator=generator)[:left])
            left -= rows[-1].shape[0]
        return self.bank[torch.cat(rows)] if rows else self.bank[:0]
