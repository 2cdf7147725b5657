"""Standard coordinates of a box: natural latents have mean 0 and standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models.spaces import Box

LEAST = 1e-3
"""Least standard deviation of a coordinate, as a share of the box's width."""


def natural_scale(space: Box, bank: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return centre and scale of every coordinate: the bank's mean and deviation or, blind, the middle and half the width of the box.

    Parameters
    ----------
    space : Box
        The box.
    bank : Tensor or None
        (m, *latent). A bank of one latent has no spread; the scale is then the blind one.

    Returns
    -------
    centre, scale : Tensor
        float64 (size,), scale > 0.
    """
    width = space.high - space.low
    blind = torch.full((space.size,), width / 2, dtype=torch.float64)
    if bank is None:
        return torch.full_like(blind, (space.low + space.high) / 2), blind
    rows = bank.detach().cpu().flatten(1).double()
    centre = rows.mean(0)
    return centre, rows.std(0).clamp(min=LEAST * width) if len(rows) > 1 else blind
