"""A mixture of products of categoricals, held as a tensor train, fitted to natural codes."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from ..spaces import Categorical
from .diagonal import DiagonalTrain


class ProductsDensity:
    """A tensor train over codes: a mixture of ``components`` products of categoricals, fitted by expectation maximisation.

    Parameters
    ----------
    space : Categorical
        The space of codes.
    train : DiagonalTrain
        One mode a position.
    """

    def __init__(self, space: Categorical, train: DiagonalTrain) -> None:
        self.space = space
        self.train = train

    @classmethod
    def fit(cls, space: Categorical, bank: Tensor, components: int = 8, smoothing: float = 20.0, seed: int = 0) -> Self:
        """Return the density fitted to natural codes.

        Parameters
        ----------
        space : Categorical
            The space of codes.
        bank : Tensor
            (m, *latent) codes.
        components : int
            Most components; no more than rows of the bank.
        smoothing : float
            Pseudo-counts a position and component, > 0.
        seed : int
            Seed of the fit's start.
        """
        rows = bank.detach().cpu().flatten(1).long()
        generator = torch.Generator().manual_seed(seed)
        return cls(space, DiagonalTrain.fit(rows, space.cardinality, min(components, len(rows)), generator, smoothing))

    def log_density(self, latents: Tensor) -> Tensor:
        """Return the log probabilities of codes in nats: (n, *latent) -> (n,)."""
        return self.train.log_likelihood(latents.cpu().flatten(1))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return ``n`` draws: int64, (n, *latent)."""
        return self.train.sample(n, generator).view(n, *self.space.shape)
