"""Distances between latents of a generator."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.spaces import Categorical, LatentSpace

TINY = 1e-12


class LatentDistance:
    r"""Distance between latents: 0 for the same latent, about 1 for two random natural ones.

    Between codes it is the fraction of positions that differ; between relaxed codes that fraction's expectation. In a box it is the root
    mean square difference divided by that of two random latents. These are natural ones if a bank is given (√2 standard deviations),
    else uniform ones.

    Parameters
    ----------
    space : LatentSpace
        Space of the latents.
    natural : Tensor or None
        (m, \*latent), a bank of natural latents.
    project : callable or None
        The generator's projection of latents before decoding, such as
        :meth:`actmax.models.generators.constrained.ConstrainedGenerator.project`: distances are those between projected latents.
    """

    def __init__(self, space: LatentSpace, natural: Tensor | None = None, project: Callable[[Tensor], Tensor] | None = None) -> None:
        self.space = space
        self._project = project
        self._unit = 1.0
        if not isinstance(space, Categorical):
            variance = 0.0 if natural is None or len(natural) < 2 else float(natural.flatten(1).double().var(0).mean())
            self._unit = math.sqrt(2 * variance) if variance > 0 else (space.high - space.low) / math.sqrt(6)

    def decoded(self, latents: Tensor) -> Tensor:
        r"""Return the latents that the generator decodes, after projection: (n, \*latent), hard or relaxed, as ``latents``."""
        return latents if self._project is None else self._project(latents)

    def __call__(self, latents: Tensor, others: Tensor) -> Tensor:
        r"""Return distances, (n, k) float64, differentiable with respect to ``latents``.

        Parameters
        ----------
        latents : Tensor
            (n, \*latent), hard or relaxed.
        others : Tensor
            (k, \*latent), hard and projected.
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
        # the derivative of the root at 0 is infinite
        return squares.clamp(min=TINY).sqrt().where(squares > TINY, squares) / self._unit

    def within(self, latents: Tensor) -> Tensor:
        """Return distances, (n, n) float64, between the projections of hard ``latents``; 0 on the diagonal."""
        if not len(latents):
            return torch.zeros(0, 0, dtype=torch.float64)
        return self(latents, self.decoded(latents))
