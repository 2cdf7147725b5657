"""Gram matrices: which channels answer together, wherever that is."""

from __future__ import annotations

from torch import Tensor

from .channels import places


def gram(response: Tensor, axis: int) -> Tensor:
    """(n, *response) -> (n, channels, channels): sums over places of products of channels (Gatys et al., 2016, equation 3)."""
    at = places(response, axis)
    return at.transpose(1, 2) @ at
