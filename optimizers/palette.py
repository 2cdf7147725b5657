"""The grid that a cross search looks at: a few values for every patch of positions."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models.spaces import Box, LatentSpace


def draw_palette(
    space: LatentSpace, patches: Tensor, levels: int, held: Tensor, bank: Tensor | None, width: float, generator: torch.Generator
) -> Tensor:
    """``levels`` rows, of which each patch may take any: (levels, size).

    The first rows are the latents ``held``. In the others every patch comes from a row of the bank of its own, or, blind, from a
    uniform draw; in a box half of the values lie around one of those held instead, at a normal distance.

    Parameters
    ----------
    space : Box or Categorical
    patches : Tensor
        (size,) the number of each position's patch.
    levels : int
        Rows, at least as many as are held.
    held : Tensor
        (k, size) latents, k >= 1.
    bank : Tensor or None
        (m, size) natural latents.
    width : float
        Standard deviation of that distance as a share of the box.
    generator : torch.Generator
    """
    fresh = levels - len(held)
    count = int(patches.max()) + 1

    def rows(n: int) -> Tensor:  # one of n for each level and patch, spread over the patch's positions
        return torch.randint(n, (fresh, count), generator=generator)[:, patches]

    position = torch.arange(space.size)
    drawn = space.sample(fresh, generator).flatten(1) if bank is None else bank[rows(len(bank)), position]
    if isinstance(space, Box):
        near = held[rows(len(held)), position] + width * (space.high - space.low) * torch.randn(fresh, space.size, generator=generator)
        drawn = torch.where(rows(2) == 0, near, drawn).clamp(space.low, space.high)
    return torch.cat([held, drawn.to(held.dtype)])
