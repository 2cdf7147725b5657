"""How different two latents of a generator are."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.spaces import Categorical, LatentSpace

TINY = 1e-12


class LatentDistance:
    """0 for the same latent, about 1 for two natural ones drawn at random.

    Of codes it is the share of positions that differ, of relaxed codes its expectation. In a box it is the root mean square difference over
    that of two latents drawn at random: natural ones where a bank is given (√2 standard deviations), uniform ones else.

    Parameters
    ----------
    space : LatentSpace
        Where the latents lie.
    natural : Tensor or None
        (m, *latent), a bank of natural latents.
    project : callable or None
        What the generator makes of a latent before it decodes it, such as
        :meth:`actmax.models.generators.constrained.ConstrainedGenerator.project`: distances are those of what is decoded.
    """

    def __init__(self, space: LatentSpace, natural: Tensor | None = None, project: Callable[[Tensor], Tensor] | None = None) -> None:
        self.space = space
        self._project = project
        self._unit = 1.0
        if not isinstance(space, Categorical):
            variance = 0.0 if natural is None or len(natural) < 2 else float(natural.flatten(1).double().var(0).mean())
            self._unit = math.sqrt(2 * variance) if variance > 0 else (space.high - space.low) / math.sqrt(6)

    def decoded(self, latents: Tensor) -> Tensor:
        """(n, *latent), hard or relaxed: what the generator decodes of them."""
        return latents if self._project is None else self._project(latents)

    def __call__(self, latents: Tensor, others: Tensor) -> Tensor:
        """Distances, (n, k) float64, of ``latents``, (n, *latent), hard or relaxed, from ``others``, (k, *latent), hard and decoded.

        They have a slope wherever the latents have one.
        """
        decoded = self.decoded(latents)
        others = others.to(decoded.device)
        if isinstance(self.space, Categorical):
            if decoded.is_floating_point():
                weights = F.one_hot(others.long(), self.space.cardinality).to(decoded)
                same = decoded.flatten(1) @ weights.flatten(1).T
                return 1 - same.double() / self.space.size
            return (decoded[:, None] != others).flatten(2).double().mean(2)
        squares = (decoded[:, None].double() - others.double()).square().flatten(2).mean(2)
        # the root's slope at 0 is infinite
        return squares.clamp(min=TINY).sqrt().where(squares > TINY, squares) / self._unit

    def within(self, latents: Tensor) -> Tensor:
        """Distances, (n, n) float64, between decoded hard ``latents``; 0 with themselves."""
        if not len(latents):
            return torch.zeros(0, 0, dtype=torch.float64)
        return self(latents, self.decoded(latents))
