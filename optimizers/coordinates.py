"""Latents as standard coordinates, for searches that model a response: those of a box, or of the vectors that codes stand for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..models.spaces import Box, Categorical
from .natural_scale import natural_scale
from .optimizer import Problem


class BoxCoordinates:
    """Of a box: every coordinate with mean 0 and standard deviation 1 where latents are natural or, blind, uniform.

    Parameters
    ----------
    space : Box
    bank : Tensor or None
        (m, *latent).
    """

    def __init__(self, space: Box, bank: Tensor | None) -> None:
        self._space = space
        centre, scale = natural_scale(space, bank)
        if bank is None:
            scale = scale / math.sqrt(3)  # standard deviation of a uniform draw
        self._centre, self._scale = centre.float(), scale.float()
        self.size = space.size
        """Coordinates."""
        self.low, self.high = (space.low - self._centre) / self._scale, (space.high - self._centre) / self._scale
        """(size,) bounds."""

    def rows(self, latents: Tensor) -> Tensor:
        """(n, *latent) -> (n, size)."""
        return (latents.flatten(1).float() - self._centre) / self._scale

    def latents(self, rows: Tensor) -> Tensor:
        """(n, size) -> (n, *latent), clamped to the box."""
        return (rows * self._scale + self._centre).clamp(self._space.low, self._space.high).view(-1, *self._space.shape)


class CodeCoordinates:
    """Of codes that stand for vectors: each position has the coordinates of its code's vector, standardised alike.

    Parameters
    ----------
    space : Categorical
    vectors : Tensor
        (cardinality, width).
    """

    def __init__(self, space: Categorical, vectors: Tensor) -> None:
        self._space = space
        vectors = vectors.detach().cpu().float()
        self._vectors = (vectors - vectors.mean(0)) / vectors.std(0, correction=0).clamp(min=1e-12)
        self.size = space.size * vectors.shape[1]
        """Coordinates."""
        self.low, self.high = self._vectors.amin(0).repeat(space.size), self._vectors.amax(0).repeat(space.size)
        """(size,) bounds."""
        apart = torch.cdist(self._vectors, self._vectors, compute_mode="donot_use_mm_for_euclid_dist")
        self._near = apart.fill_diagonal_(torch.inf).topk(min(2, space.cardinality - 1), largest=False).indices

    def rows(self, latents: Tensor) -> Tensor:
        """(n, *latent) codes -> (n, size)."""
        return self._vectors[latents.flatten(1)].flatten(1)

    def latents(self, rows: Tensor) -> Tensor:
        """(n, size) -> (n, *latent): at every position the code whose vector is nearest."""
        places = rows.view(len(rows), self._space.size, -1)
        apart = torch.cdist(places, self._vectors, compute_mode="donot_use_mm_for_euclid_dist")
        return apart.argmin(2).view(-1, *self._space.shape)

    def varied(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Codes with one position of each, drawn at random, set to one of the two codes nearest to its own."""
        flat = latents.flatten(1).clone()
        every = torch.arange(len(flat))
        place = torch.randint(flat.shape[1], (len(flat),), generator=generator)
        which = torch.randint(self._near.shape[1], (len(flat),), generator=generator)
        flat[every, place] = self._near[flat[every, place], which]
        return flat.view_as(latents)


def coordinates(problem: Problem) -> BoxCoordinates | CodeCoordinates | None:
    """Those of a problem's latents; None for codes that stand for no vectors."""
    if isinstance(problem.latent, Box):
        return BoxCoordinates(problem.latent, problem.bank)
    return None if problem.code_vectors is None else CodeCoordinates(problem.latent, problem.code_vectors)
