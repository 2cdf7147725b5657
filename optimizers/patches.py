"""Patches of positions: what a search changes together."""

from __future__ import annotations

import math

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
