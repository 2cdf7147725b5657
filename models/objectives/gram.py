"""Gram matrices: which channels respond together, regardless of the place."""

from __future__ import annotations

from torch import Tensor

from .channels import places


def gram(response: Tensor, axis: int) -> Tensor:
    """Return the Gram matrices of responses: sums over places of products of channels (Gatys et al., 2016, equation 3).

    Parameters
    ----------
    response : Tensor
        (n, *response).
    axis : int
        Axis of the channels, counted without the batch.

    Returns
    -------
    Tensor
        (n, channels, channels).
    """
    at = places(response, axis)
    return at.transpose(1, 2) @ at
