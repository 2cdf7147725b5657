"""Latents as standard coordinates, for searches that model a response: coordinates of a box, or of the vectors of codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..models.spaces import Box, Categorical
from .natural_scale import natural_scale
from .optimizer import Problem

MOST_CODES = 4096
"""Most codes among which the nearest one is looked up by comparing all."""
FLAT = 1e-6
"""Deviation of a vector's entry, as a share of the widest entry's, below which the entry counts as constant."""
NEIGHBOURS = 2


class BoxCoordinates:
    """Coordinates of a box, each with mean 0 and standard deviation 1 over natural latents or, blind, over uniform draws.

    Parameters
    ----------
    space : Box
        The box.
    bank : Tensor or None
        (m, *latent) natural latents; None for a blind start.
    """

    def __init__(self, space: Box, bank: Tensor | None) -> None:
        self._space = space
        centre, scale = natural_scale(space, bank)
        if bank is None:
            scale = scale / math.sqrt(3)  # standard deviation of a uniform draw
        self._centre, self._scale = centre.float(), scale.float()
        self.size = space.size
        """Number of coordinates."""
        self.low, self.high = (space.low - self._centre) / self._scale, (space.high - self._centre) / self._scale
        """(size,) bounds."""

    def rows(self, latents: Tensor) -> Tensor:
        """Return the coordinates of latents: (n, *latent) -> float32, (n, size)."""
        return (latents.flatten(1).float() - self._centre) / self._scale

    def latents(self, rows: Tensor) -> Tensor:
        """Return the latents of coordinates, clamped to the box: (n, size) -> (n, *latent)."""
        return (rows * self._scale + self._centre).clamp(self._space.low, self._space.high).view(-1, *self._space.shape)


class CodeCoordinates:
    """Coordinates of codes that stand for vectors: at each position the entries of its code's vector.

    All entries have one scale, so that distances are those of the vectors; entries in which the vectors do not differ are left out.

    Parameters
    ----------
    space : Categorical
        The space of codes.
    vectors : Tensor
        (cardinality, width), finite; equal vectors for all codes leave no coordinates.
    """

    def __init__(self, space: Categorical, vectors: Tensor) -> None:
        self._space = space
        self._vectors = telling(vectors)
        self.size = space.size * self._vectors.shape[1]
        """Number of coordinates."""
        self.low, self.high = self._vectors.amin(0).repeat(space.size), self._vectors.amax(0).repeat(space.size)
        """(size,) bounds."""

    def rows(self, latents: Tensor) -> Tensor:
        """Return the coordinates of codes: (n, *latent) -> float32, (n, size)."""
        return self._vectors[latents.flatten(1).long()].flatten(1)

    def latents(self, rows: Tensor) -> Tensor:
        """Return the codes whose vectors are nearest to coordinates, position by position: (n, size) -> (n, *latent)."""
        places = rows.view(len(rows) * self._space.size, -1)
        return torch.cdist(places, self._vectors, compute_mode="donot_use_mm_for_euclid_dist").argmin(1).view(-1, *self._space.shape)

    def varied(self, latent: Tensor, generator: torch.Generator) -> Tensor:
        """Return codes with one position changed to a near code of another vector.

        Parameters
        ----------
        latent : Tensor
            (*latent) codes.
        generator : torch.Generator
            Draws the position, and one of the two nearest codes.

        Returns
        -------
        Tensor
            (*latent), a copy.
        """
        flat = latent.flatten().clone()
        place = int(torch.randint(len(flat), (1,), generator=generator))
        apart = (self._vectors - self._vectors[flat[place]]).square().sum(1)
        others = torch.where(apart > 0, apart, torch.inf).topk(min(NEIGHBOURS, len(apart) - 1), largest=False)
        near = others.indices[others.values.isfinite()]
        flat[place] = near[int(torch.randint(len(near), (1,), generator=generator))]
        return flat.view_as(latent)


def telling(vectors: Tensor) -> Tensor:
    """Return vectors around their mean, scaled to a root mean square of 1 an entry, without entries in which they do not differ.

    Parameters
    ----------
    vectors : Tensor
        (cardinality, width), finite.

    Returns
    -------
    Tensor
        float32, (cardinality, at most width); no entries where all vectors are the same.
    """
    wide = vectors.detach().cpu().double()
    wide = wide - wide.mean(0)
    deviation = wide.square().mean(0).sqrt()
    kept = deviation > FLAT * (vectors.detach().cpu().double().abs().amax(0) + deviation.max())
    found = wide[:, kept]
    return (found / found.square().mean().sqrt()).float() if bool(kept.any()) else found.float()


def coordinates(problem: Problem) -> BoxCoordinates | CodeCoordinates | None:
    """Return the coordinates of a problem's latents.

    Returns
    -------
    BoxCoordinates, CodeCoordinates or None
        None for codes without vectors, with equal vectors for all, or for more than :data:`MOST_CODES` codes.

    Raises
    ------
    ValueError
        There is not one vector for each code.
    """
    space, vectors = problem.latent, problem.code_vectors
    if isinstance(space, Box):
        return BoxCoordinates(space, problem.bank)
    if vectors is None:
        return None
    if vectors.ndim != 2 or len(vectors) != space.cardinality:
        raise ValueError(f"{space.cardinality} codes need as many vectors, got them in the shape {tuple(vectors.shape)}")
    found = CodeCoordinates(space, vectors) if space.cardinality <= MOST_CODES else None
    return found if found is not None and found.size else None
