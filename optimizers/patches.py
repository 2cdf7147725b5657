"""Patches of positions, which a search changes together."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def patches(shape: tuple[int, ...], side: int) -> Tensor:
    """Return the number of the patch of each position, for a regular grid of patches counted row by row.

    Parameters
    ----------
    shape : tuple of int
        Shape of one latent.
    side : int
        Positions of a patch along each axis; patches at the far edges are smaller where ``side`` doesn't divide a length.

    Returns
    -------
    Tensor
        int64, (size,).
    """
    number = torch.zeros(shape, dtype=torch.long)
    for axis, length in enumerate(shape):
        along = torch.arange(length) // side
        number = number * math.ceil(length / side) + along.view([-1 if other == axis else 1 for other in range(len(shape))])
    return number.flatten()


def box_masks(shape: tuple[int, ...], n: int, sides: Callable[[int], Tensor], generator: torch.Generator) -> Tensor:
    """Return masks, each true in one box of positions that is placed uniformly.

    Parameters
    ----------
    shape : tuple of int
        Shape of one latent.
    n : int
        Number of masks.
    sides : callable
        Returns, for the length of an axis, the boxes' sides along it: int64 (n, 1), at most the length.
    generator : torch.Generator
        Draws the boxes' places.

    Returns
    -------
    Tensor
        bool, (n, size).
    """
    masks = torch.ones(n, *shape, dtype=torch.bool)
    for axis, length in enumerate(shape):
        side = sides(length)
        start = (torch.rand(n, 1, generator=generator) * (length - side + 1)).long()
        position = torch.arange(length)
        inside = (position >= start) & (position < start + side)
        masks &= inside.view(n, *[length if other == axis else 1 for other in range(len(shape))])
    return masks.flatten(1)
