"""Patches of positions: what a search changes together."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def patches(shape: tuple[int, ...], side: int) -> Tensor:
    """The number of the patch that each position belongs to, row by row of a regular grid of ``side``: int64, (size,).

    Patches at the far edges are smaller where ``side`` doesn't divide a length.
    """
    number = torch.zeros(shape, dtype=torch.long)
    for axis, length in enumerate(shape):
        along = torch.arange(length) // side
        number = number * math.ceil(length / side) + along.view([-1 if other == axis else 1 for other in range(len(shape))])
    return number.flatten()


def box_masks(shape: tuple[int, ...], n: int, sides: Callable[[int], Tensor], generator: torch.Generator) -> Tensor:
    """Masks, each true in one box of positions, placed uniformly: bool, (n, size).

    Parameters
    ----------
    shape : tuple of int
        Shape of one latent.
    n : int
    sides : callable
        Gives for an axis of some length the boxes' sides along it: int64 (n, 1), at most the length.
    generator : torch.Generator
        Places them.
    """
    masks = torch.ones(n, *shape, dtype=torch.bool)
    for axis, length in enumerate(shape):
        side = sides(length)
        start = (torch.rand(n, 1, generator=generator) * (length - side + 1)).long()
        position = torch.arange(length)
        inside = (position >= start) & (position < start + side)
        masks &= inside.view(n, *[length if other == axis else 1 for other in range(len(shape))])
    return masks.flatten(1)
